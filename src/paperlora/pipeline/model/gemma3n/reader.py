"""Reads Gemma 3n from its files into 4-bit weights; the peak of GPU memory is the model plus one matrix.

Each tensor goes from its file to the device by itself and is packed there. The towers for pictures and
sound are read only for ``model.multimodal``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bitsandbytes
import torch
from accelerate import init_empty_weights
from safetensors import safe_open
from tqdm import tqdm
from transformers import AutoConfig, GenerationConfig
from transformers.models.gemma3n import Gemma3nForCausalLM, Gemma3nForConditionalGeneration

from paperlora.errors import DataError
from paperlora.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Tensor = torch.Tensor
_TABLE = "embed_tokens_per_layer.weight"
_TEXT = "model.language_model."
WHOLE = ("lm_head", "prediction_coefs", "correction_coefs", "modality_router")
"""Linear modules that stay unpacked, by the last part of their names.

AltUp clamps its coefficients while it trains, which packed data does not allow. The head shares its
weight with the embedding, and the router is small.
"""


class HostEmbedding(torch.nn.Module):
    """Gemma 3n's embedding per layer; its ``table`` [vocabulary, width] stays mapped from its file.

    The table has a third of the model's parameters (2.35 of 6.9 billion), and a token reads one row of
    it, so it takes no GPU memory, and host memory for the rows in use alone. ``step.fill`` looks up the
    rows of a training row, and transformers calls ``forward`` when the model generates. It mirrors
    ``Gemma3nTextScaledWordEmbedding``.
    """

    def __init__(
        self, table: Tensor, scale: float, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Store ``table``; its rows go to ``device`` in ``dtype``, multiplied by ``scale``."""
        super().__init__()
        # A tuple hides the table from the module, so that nothing moves or converts it.
        self.table = (table,)
        self.factor = torch.tensor(scale, dtype=dtype, device=device)
        self.staging: list[tuple[Tensor, torch.cuda.Event]] = []

    def look_up(self, ids: Tensor, out: Tensor) -> None:
        """Fill ``out`` [T, width] with the scaled rows of ``ids`` [T], a tensor on the host."""
        (table,) = self.table
        if not out.is_cuda or table.is_cuda:
            out.copy_(table[ids.to(table.device)])
        else:
            # Two pinned buffers alternate: the host looks up the next rows while the GPU works on these.
            if len(self.staging) < 2 or len(self.staging[0][0]) < len(ids):
                pinned = torch.empty(len(ids), table.shape[1], dtype=table.dtype).pin_memory()
                self.staging = [*self.staging[-1:], (pinned, torch.cuda.Event())]
            else:
                self.staging.reverse()
            pinned, copied = self.staging[-1]
            copied.synchronize()  # an earlier copy may still read this buffer
            rows = pinned[: len(ids)]
            torch.index_select(table, 0, ids, out=rows)
            out.copy_(rows, non_blocking=True)
            copied.record()
        out.mul_(self.factor)

    def forward(self, ids: Tensor) -> Any:  # noqa: ANN401 - a tensor, as torch types it
        """Return the scaled rows of ``ids`` [*], [*, width], on the model's device."""
        (table,) = self.table
        rows = torch.index_select(table, 0, ids.reshape(-1).to(table.device))
        return (rows.to(self.factor) * self.factor).view(*ids.shape, table.shape[1])


def read(
    directory: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    multimodal: bool = False,
    table_on_host: bool = True,
) -> Any:  # noqa: ANN401 - transformers carries no types
    """Return the frozen model: linear maps in NF4 with double quantisation, the rest in ``dtype``.

    Without ``multimodal`` it is a ``Gemma3nForCausalLM``. ``table_on_host`` has no effect on a CPU.
    Raises ``DataError`` when a file or a weight is missing, or a weight has another shape.
    """
    config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    text = config.get_text_config()
    with init_empty_weights(include_buffers=False):
        model = Gemma3nForConditionalGeneration(config) if multimodal else Gemma3nForCausalLM(text)
    language = model.model.language_model if multimodal else model.model
    _pack_linear(model, dtype)
    embedding = language.embed_tokens_per_layer
    del language.embed_tokens_per_layer
    found = _fill(model, directory, _TEXT if multimodal else "model.", device, dtype)
    table = found if table_on_host or device.type == "cpu" else found.to(device, dtype)
    language.embed_tokens_per_layer = HostEmbedding(
        table, embedding.scalar_embed_scale, device, dtype
    )
    model.tie_weights()
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):  # no checkpoint holds them
            module._buffers[name] = buffer.to(device)  # noqa: SLF001 - as Module.to does, leaving 4-bit weights alone
    model.requires_grad_(requires_grad=False)
    model.eval()
    # peft and generation read these.
    model.is_loaded_in_4bit = True
    model.is_quantized = True
    model.hf_device_map = {"": device}
    model.config.dtype = dtype
    if (directory / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(directory)
    return model


def _pack_linear(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Replace every linear module that ``WHOLE`` does not name with an empty 4-bit one."""
    for name, module in list(model.named_modules()):
        # Not isinstance: a subclass may compute something else.
        if type(module) is not torch.nn.Linear or name.rsplit(".", 1)[-1] in WHOLE:
            continue
        packed = bitsandbytes.nn.Linear4bit(
            module.in_features,
            module.out_features,
            bias=module.bias is not None,
            compute_dtype=dtype,
            compress_statistics=True,
            quant_type="nf4",
            device=torch.device("meta"),
        )
        model.set_submodule(name, packed)


def _tensors(directory: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the checkpoint's tensors, mapped from their files and not yet read."""
    index = directory / "model.safetensors.index.json"
    files = {"model.safetensors"}
    if index.is_file():
        files = set(read_json(index)["weight_map"].values())
    for name in sorted(files):
        if not (directory / name).is_file():
            raise DataError(f"{directory / name} is missing", remedy="fetch the model again")
        with safe_open(directory / name, framework="pt") as file:  # type: ignore[no-untyped-call]
            for key in file.keys():  # noqa: SIM118 - not a mapping
                yield key, file.get_tensor(key)


def _fill(
    model: torch.nn.Module, directory: Path, text: str, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Fill ``model`` from the checkpoint; return the table of per-layer embeddings, which ``model`` lacks.

    ``text`` is how the names of the text half begin in ``model``.
    """
    wanted = {name for name, _ in model.named_parameters()} | set(model.state_dict())
    table: Tensor | None = None
    for stored, tensor in tqdm(
        _tensors(directory), desc="load", unit="tensor", disable=None, leave=False
    ):
        name = stored.replace(_TEXT, text, 1)
        if name.endswith(_TABLE):
            table = tensor
        elif name in wanted:
            _place(model, name, tensor, device, dtype)
    if table is None:
        raise DataError(f"{directory} has no {_TABLE}", remedy="fetch the model again")
    # What no file gave is still on the meta device, except the head, which is tied later.
    for name, value in model.state_dict().items():
        if value.is_meta and "lm_head" not in name:
            raise DataError(f"{directory} lacks {name}", remedy="fetch the model again")
    return table


def _place(
    model: torch.nn.Module, name: str, tensor: Tensor, device: torch.device, dtype: torch.dtype
) -> None:
    """Move one tensor to the device and into its module; pack it there if that is a 4-bit one."""
    parent, _, leaf = name.rpartition(".")
    module = model.get_submodule(parent)
    expected = getattr(module, leaf).shape
    if expected != tensor.shape:
        raise DataError(
            f"{name} has the shape {list(tensor.shape)}, the configuration wants {list(expected)}",
            remedy="fetch the model again",
        )
    if isinstance(module, bitsandbytes.nn.Linear4bit) and leaf == "weight":
        module.weight = bitsandbytes.nn.Params4bit(
            tensor.to(dtype),
            requires_grad=False,
            quant_type="nf4",
            compress_statistics=True,
            module=module,
        ).to(device)  # bitsandbytes packs a weight when it moves
    else:
        kind = dtype if tensor.is_floating_point() else tensor.dtype
        value = tensor.to(device, kind)
        if leaf in module._parameters:  # noqa: SLF001 - setattr alone would not take a plain tensor
            value = torch.nn.Parameter(value, requires_grad=False)
        setattr(module, leaf, value)
