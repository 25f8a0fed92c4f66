"""Loading Gemma 3n so that the GPU never holds what it will not keep.

Each tensor goes from the file to the device by itself and is packed there; the table of per-layer
embeddings stays in the file, mapped into memory; towers for pictures and sound are read only when
asked for. The peak of a load is the model plus one matrix.
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
from paperlora.pipeline.model.gemma3n.embedding import HostEmbedding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TABLE = "embed_tokens_per_layer.weight"
_TEXT = "model.language_model."
# AltUp clamps its coefficients while it trains, which packed data cannot take; the router and the
# head are small or sensitive. The bare word `altup` would match nothing.
WHOLE = ("lm_head", "prediction_coefs", "correction_coefs", "modality_router")


def is_gemma3n(directory: Path) -> bool:
    """Say whether the model in ``directory`` is a Gemma 3n, of text alone or with its towers."""
    return str(read_json(directory / "config.json").get("model_type")).startswith("gemma3n")


def read(
    directory: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    multimodal: bool = False,
    table_on_host: bool = True,
) -> Any:  # noqa: ANN401 - transformers carries no types
    """Return the frozen model: linear maps in NF4 with double quantisation, the rest in ``dtype``.

    Raises ``DataError`` when a weight is missing or has another shape.
    """
    config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    text = config.get_text_config()
    with init_empty_weights(include_buffers=False):
        made = Gemma3nForConditionalGeneration(config) if multimodal else Gemma3nForCausalLM(text)
    language = made.model.language_model if multimodal else made.model
    _pack_linear(made, dtype)
    embedding = language.embed_tokens_per_layer
    del language.embed_tokens_per_layer
    found = _fill(made, directory, multimodal=multimodal, device=device, dtype=dtype)
    table = found if table_on_host or device.type == "cpu" else found.to(device, dtype)
    language.embed_tokens_per_layer = HostEmbedding(
        table, embedding.scalar_embed_scale, device, dtype
    )
    made.tie_weights()
    _finish(made, directory, device, dtype)
    return made


def _pack_linear(made: torch.nn.Module, dtype: torch.dtype) -> None:
    """Put an empty 4-bit layer in the place of every linear one that is not to stay whole."""
    for name, module in list(made.named_modules()):
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
        parent, _, leaf = name.rpartition(".")
        setattr(made.get_submodule(parent), leaf, packed)


def _tensors(directory: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the checkpoint's tensors, mapped from their files and not yet read."""
    index = directory / "model.safetensors.index.json"
    files = (
        sorted(set(read_json(index)["weight_map"].values()))
        if index.is_file()
        else ["model.safetensors"]
    )
    for name in files:
        if not (directory / name).is_file():
            raise DataError(f"{directory / name} is missing", remedy="fetch the model again")
        with safe_open(directory / name, framework="pt") as file:  # type: ignore[no-untyped-call]
            for key in file.keys():  # noqa: SIM118 - no mapping
                yield key, file.get_tensor(key)


def _fill(
    made: torch.nn.Module,
    directory: Path,
    *,
    multimodal: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Fill ``made`` from the checkpoint and return the table, which is no part of it."""
    wanted = {name for name, _ in made.named_parameters()} | set(made.state_dict())
    table: torch.Tensor | None = None
    for stored, tensor in tqdm(
        _tensors(directory), desc="load", unit="tensor", disable=None, leave=False
    ):
        name = stored if multimodal else stored.replace(_TEXT, "model.", 1)
        if name.endswith(_TABLE):
            table = tensor
        elif name in wanted:
            _place(made, name, tensor, device, dtype)
    if table is None:
        raise DataError(f"{directory} has no {_TABLE}", remedy="fetch the model again")
    missing = [
        name for name, value in made.state_dict().items() if value.is_meta and "lm_head" not in name
    ]
    if missing:
        raise DataError(f"{directory} lacks {missing[0]}", remedy="fetch the model again")
    return table


def _place(
    made: torch.nn.Module, name: str, tensor: torch.Tensor, device: torch.device, dtype: torch.dtype
) -> None:
    """Put one tensor where it belongs, packed on the device if its layer is a 4-bit one."""
    parent, _, leaf = name.rpartition(".")
    module = made.get_submodule(parent)
    expected = getattr(module, leaf).shape
    if expected != tensor.shape:
        raise DataError(
            f"{name} has the shape {list(tensor.shape)}, the configuration says {list(expected)}",
            remedy="fetch the model again",
        )
    if isinstance(module, bitsandbytes.nn.Linear4bit) and leaf == "weight":
        module.weight = bitsandbytes.nn.Params4bit(
            tensor.to(dtype),
            requires_grad=False,
            quant_type="nf4",
            compress_statistics=True,
            module=module,
        ).to(device)
    else:
        kind = dtype if tensor.is_floating_point() else tensor.dtype
        value = tensor.to(device, kind)
        if leaf in module._parameters:  # noqa: SLF001 - setattr alone would not take a plain tensor
            value = torch.nn.Parameter(value, requires_grad=False)
        setattr(module, leaf, value)


def _finish(made: Any, directory: Path, device: torch.device, dtype: torch.dtype) -> None:  # noqa: ANN401
    """Move the buffers, which no checkpoint holds, and set what peft and generation ask for."""
    for module in made.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device)  # noqa: SLF001 - as Module.to does, leaving 4-bit weights alone
    made.requires_grad_(requires_grad=False)
    made.eval()
    made.is_loaded_in_4bit = True
    made.is_quantized = True
    made.hf_device_map = {"": device}
    made.config.dtype = dtype
    if (directory / "generation_config.json").is_file():
        made.generation_config = GenerationConfig.from_pretrained(directory)
