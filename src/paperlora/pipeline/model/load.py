"""Loads the frozen base model in 4 bits, and prepares the process that computes with it.

The weights are in NF4 with double quantisation, as in QLoRA (Dettmers et al. 2023).
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import bitsandbytes
import psutil
import torch
import torch.nn.functional as F
from bitsandbytes.functional import dequantize_4bit
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import logging as transformers_logging

from paperlora.errors import InputError
from paperlora.pipeline.model import store
from paperlora.pipeline.model.gemma3n import reader

if TYPE_CHECKING:
    from pathlib import Path

    from paperlora.pipeline.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model that is ready to train or to generate, and how it was loaded."""

    model: Any
    tokenizer: Any
    files: store.ModelFiles
    device: torch.device
    compute_dtype: torch.dtype
    load_gpu_bytes: int | None
    """The peak of GPU memory while it was loaded; None on a CPU."""
    gemma3n: bool
    """Whether the step of ``gemma3n`` can train it."""


def prepare(seed: int) -> None:
    """Make this process compute the same bits in each run: seeds, threads, deterministic kernels."""
    random.seed(seed)
    torch.manual_seed(seed)
    # The order of sums on a CPU, and so their last bits, depends on the number of threads.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    # cuBLAS gives the same bits only with a work space of fixed size: torch's notes on randomness.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Deterministic mode also fills each new tensor: slow, and of use only where unwritten memory is read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.enable_cudnn_sdp(False)  # its backward pass is not deterministic
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def device(choice: str) -> torch.device:
    """Return the device that ``auto`` (a GPU if there is one), ``cpu`` or ``cuda`` stands for.

    Raises ``InputError`` for ``cuda`` when there is no usable CUDA device.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "no CUDA device is usable", remedy="run with --device cpu, or fix the driver"
        )
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(choice)


def device_name(where: torch.device) -> str:
    """Return a device as results name it: ``cpu``, or ``cuda:`` with the name of the GPU."""
    return f"cuda:{torch.cuda.get_device_name(where)}" if where.type == "cuda" else where.type


def load(
    files: store.ModelFiles, config: ModelConfig, where: torch.device, *, table_on_host: bool = True
) -> Loaded:
    """Return the frozen base in 4 bits on the device ``where``, with its tokenizer.

    ``table_on_host`` keeps Gemma 3n's per-layer embeddings on the host; other models have none.
    Raises ``InputError`` for an impossible dtype or a model without a chat template, ``DataError``
    when Gemma 3n's files are incomplete.
    """
    dtype = compute_dtype(config.compute_dtype, where)
    gemma3n = store.is_gemma3n(str(files.directory))
    if gemma3n:
        model = reader.read(
            files.directory,
            device=where,
            dtype=dtype,
            multimodal=config.multimodal,
            table_on_host=table_on_host,
        )
    else:
        model = _load(files.directory, dtype, where)
    if where.type == "cpu":
        _prepare_for_cpu(model)
    tokenizer = AutoTokenizer.from_pretrained(files.directory, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise InputError(
            f"{files.id} has no chat template", remedy="use an instruction-tuned model"
        )
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        files=files,
        device=where,
        compute_dtype=dtype,
        load_gpu_bytes=torch.cuda.max_memory_allocated() if where.type == "cuda" else None,
        gemma3n=gemma3n,
    )


def _load(directory: Path, dtype: torch.dtype, where: torch.device) -> Any:  # noqa: ANN401
    """Return a model other than Gemma 3n, loaded by transformers."""
    model = AutoModelForCausalLM.from_pretrained(
        directory,
        dtype=dtype,
        device_map={"": where},
        use_safetensors=True,
        trust_remote_code=False,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        ),
    )
    # Not peft's `prepare_model_for_kbit_training`: it converts every unquantised weight to float32.
    model.requires_grad_(requires_grad=False)
    model.eval()
    return model


def _prepare_for_cpu(model: Any) -> None:  # noqa: ANN401 - transformers carries no types
    """Change the 4-bit layers of ``model`` in place, for a CPU.

    bitsandbytes unpacks a layer's weight for each product, forward and backward. If all weights in
    float32 take at most a quarter of the available memory, this function unpacks them once and keeps
    them: the same numbers in a quarter less time.

    It also stops bitsandbytes from repacking weights. On a CPU with AVX512-BF16, bitsandbytes 0.50
    repacks a layer at its first use without gradients, such as a validation. That rounds the scales
    to bfloat16 for good, and later training steps use a product that returns no gradient.
    """
    layers = [m for m in model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    size = sum(4 * layer.in_features * layer.out_features for layer in layers)
    plenty = size <= psutil.virtual_memory().available / 4
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
        if plenty:
            weight = layer.weight
            full = dequantize_4bit(weight.data, weight.quant_state).to(layer.compute_dtype)
            layer.forward = partial(_product, weight=full, bias=layer.bias)


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return x W^T + b in the dtype of ``x``, computed in that of ``weight``, as bitsandbytes does."""
    added = None if bias is None else bias.to(weight.dtype)
    return F.linear(x.to(weight.dtype), weight, added).to(x.dtype)


def parameter_count(model: Any) -> int:  # noqa: ANN401 - peft carries no types
    """Return the number of parameters of the base; a packed 4-bit weight counts as before packing."""
    shapes = [
        (getattr(parameter, "quant_state", None) or parameter).shape
        for name, parameter in model.named_parameters()
        if "lora_" not in name
    ]
    shapes += [m.table[0].shape for m in model.modules() if isinstance(m, reader.HostEmbedding)]
    return sum(shape.numel() for shape in shapes)


def compute_dtype(name: str, where: torch.device) -> torch.dtype:
    """Return the dtype to compute in on ``where``: ``float32``, ``bfloat16``, ``float16`` or ``auto``.

    ``auto`` is bfloat16 if the GPU has it, else float32.
    """
    if name != "auto":
        chosen: torch.dtype = getattr(torch, name)
        return chosen
    # Not bfloat16 on a T4, which emulates it; not float16, which overflows in Gemma 3n.
    native = where.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32
