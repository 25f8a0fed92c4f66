"""The frozen base model in 4 bits, and what a process needs before it computes with one.

NF4 with double quantisation: QLoRA (Dettmers et al. 2023).
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import logging as transformers_logging

from paperlora.errors import InputError
from paperlora.files import read_json
from paperlora.pipeline.model import cpu_linear
from paperlora.pipeline.model.gemma3n import reader
from paperlora.pipeline.model.gemma3n.embedding import HostEmbedding

if TYPE_CHECKING:
    from paperlora.pipeline.config import ModelConfig
    from paperlora.pipeline.model.store import Weights

NF4_BLOCK = 64


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model that is ready to train or generate, and what was seen while it was loaded."""

    model: Any
    tokenizer: Any
    weights: Weights
    device: torch.device
    compute_dtype: torch.dtype
    load_gpu_bytes: int | None
    gemma3n: bool
    """Whether the step written for Gemma 3n can train it."""


def prepare(seed: int) -> None:
    """Make this process's arithmetic repeatable: seeds, threads, deterministic kernels."""
    random.seed(seed)
    torch.manual_seed(seed)
    # The number of threads decides the order of sums on the CPU, and so the last bits.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads what it did not write, so no memory need be filled beforehand.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.enable_cudnn_sdp(False)  # its backward pass is not deterministic
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def device(choice: str) -> torch.device:
    """Return the device named ``auto``, ``cpu`` or ``cuda``.

    Raises ``InputError`` when CUDA is asked for and absent.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "no CUDA device is usable", remedy="run with --device cpu, or mend the driver"
        )
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(choice)


def load(
    weights: Weights, config: ModelConfig, where: torch.device, *, table_on_host: bool = True
) -> Loaded:
    """Load the frozen base in 4 bits on ``where``; ``table_on_host`` speaks of Gemma 3n's alone."""
    dtype = compute_dtype(config.compute_dtype, where)
    gemma3n = reader.is_gemma3n(weights.directory)
    if gemma3n:
        model = reader.read(
            weights.directory,
            device=where,
            dtype=dtype,
            multimodal=config.multimodal,
            table_on_host=table_on_host,
        )
    else:
        model = _load(weights, dtype, where)
    if where.type == "cpu":
        cpu_linear.settle(model)
    tokenizer = AutoTokenizer.from_pretrained(weights.directory, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise InputError(
            f"{weights.id} has no chat template", remedy="use an instruction-tuned model"
        )
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        weights=weights,
        device=where,
        compute_dtype=dtype,
        load_gpu_bytes=torch.cuda.max_memory_allocated() if where.type == "cuda" else None,
        gemma3n=gemma3n,
    )


def _load(weights: Weights, dtype: torch.dtype, where: torch.device) -> Any:  # noqa: ANN401
    """Load any other model as transformers does."""
    model = AutoModelForCausalLM.from_pretrained(
        weights.directory,
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
    # Not `prepare_model_for_kbit_training`: it would hold every unquantised weight in float32.
    model.requires_grad_(requires_grad=False)
    model.eval()
    return model


def is_half(loaded: Loaded) -> bool:
    """Say whether the model is the text half of a checkpoint that has towers too."""
    whole = read_json(loaded.weights.directory / "config.json").get("model_type") == "gemma3n"
    return whole and hasattr(loaded.model.model, "layers")


def parameter_count(model: Any) -> int:  # noqa: ANN401 - peft carries no types
    """Return the number of base parameters; a packed 4-bit weight counts its original shape."""
    own = sum(
        parameter.quant_state.shape.numel()
        if getattr(parameter, "quant_state", None) is not None
        else parameter.numel()
        for name, parameter in model.named_parameters()
        if "lora_" not in name
    )
    return int(own) + sum(
        m.table[0].numel() for m in model.modules() if isinstance(m, HostEmbedding)
    )


def compute_dtype(name: str, where: torch.device) -> torch.dtype:
    """Return the dtype of the arithmetic; ``auto`` never picks an emulated or overflowing one."""
    if name == "auto":
        # A T4 emulates bfloat16, and float16 overflows in Gemma 3n: float32 is what remains.
        native = where.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float32
    chosen: torch.dtype | None = getattr(torch, name, None)
    if chosen is None or chosen not in (torch.bfloat16, torch.float16, torch.float32):
        raise InputError(
            f"model.compute_dtype is {name!r}", remedy="give auto, float32, bfloat16 or float16"
        )
    return chosen
