"""The frozen 4-bit model, its LoRA adapter, and the loss over an answer.

NF4 with double quantisation and LoRA on a frozen base: QLoRA (Dettmers et al. 2023).
"""

from __future__ import annotations

import logging
import os
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# bitsandbytes looks for kernels on a hub as it is imported and says that it found none. None is
# wanted: they would be code that no lock knows.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

from paperlora.errors import DataError, InputError  # noqa: E402
from paperlora.files import read_json  # noqa: E402
from paperlora.pipeline import adapter_files, cpu_linear  # noqa: E402
from paperlora.pipeline.gemma3n import load as load_gemma3n  # noqa: E402
from paperlora.pipeline.gemma3n.embedding import HostEmbedding  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from paperlora.pipeline.config import AdapterConfig, ModelConfig, TrainConfig
    from paperlora.pipeline.weights import Weights

NF4_BLOCK = 64


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One example as token ids."""

    prompt: list[int]
    answer: list[int]
    """Ends with the token that ends the model's turn."""


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
    gemma3n = load_gemma3n.is_gemma3n(weights.directory)
    if gemma3n:
        model = load_gemma3n.load(
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


def add_adapter(loaded: Loaded, adapter: AdapterConfig, train: TrainConfig) -> Any:  # noqa: ANN401
    """Wrap the base in a fresh, trainable LoRA adapter and return the peft model.

    Raises ``InputError`` when a named projection is not in the model.
    """
    wanted = adapter.attention + adapter.mlp
    names = targets(loaded.model, wanted)
    if missing := sorted(set(wanted) - {name.rsplit(".", 1)[-1] for name in names}):
        raise InputError(
            f"the model has no projection {', '.join(missing)}",
            remedy="set adapter.attention and adapter.mlp to names that it has",
        )
    if train.gradient_checkpointing:
        loaded.model.gradient_checkpointing_enable({"use_reentrant": False})
    model = get_peft_model(
        loaded.model,
        LoraConfig(
            r=adapter.rank,
            lora_alpha=adapter.alpha,
            lora_dropout=adapter.dropout,
            target_modules=names,
            task_type="CAUSAL_LM",
        ),
    )
    # The adapter must load anywhere: it names the model, not a folder of this machine.
    model.peft_config["default"].base_model_name_or_path = loaded.weights.id
    return model


def load_adapter(loaded: Loaded, folder: Path) -> Any:  # noqa: ANN401 - peft carries no types
    """Wrap the base in the saved adapter of ``folder``, frozen.

    Raises ``DataError`` when it was trained for another model.
    """
    trained_for = read_json(folder / "adapter_config.json")["base_model_name_or_path"]
    if trained_for != loaded.weights.id:
        raise DataError(
            f"{folder} was trained for {trained_for}, the run is configured for {loaded.weights.id}",
            remedy="run `train` again",
        )
    model = adapter_files.load(loaded.model, folder)
    model.eval()
    return model


def targets(model: Any, wanted: list[str]) -> list[str]:  # noqa: ANN401
    """Return the full names of the projections to adapt.

    Keys and values of layers that share those of an earlier layer (Gemma 3n) are never computed,
    so an adapter there would train nothing: they are left out.
    """
    shared = getattr(model.config.get_text_config(), "num_kv_shared_layers", 0) or 0
    first_shared = model.config.get_text_config().num_hidden_layers - shared
    names = []
    for name, module in model.named_modules():
        layer = re.search(r"\blayers\.(\d+)\.", name)
        kind = name.rsplit(".", 1)[-1]
        dead = kind in ("k_proj", "v_proj") and layer and int(layer.group(1)) >= first_shared
        if layer and kind in wanted and isinstance(module, torch.nn.Linear) and not dead:
            names.append(name)
    return names


def encode(tokenizer: Any, prompt: str, answer: str, max_length: int) -> Encoded:  # noqa: ANN401
    """Put prompt and answer into the model's chat format, as token ids.

    The prompt gives up its earliest tokens where both together are longer than ``max_length``.
    """
    turns = [{"role": "user", "content": prompt}]
    start = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(
        [*turns, {"role": "assistant", "content": answer}], tokenize=False
    )
    if not whole.startswith(start):
        raise InputError(
            "the model's chat template does not go on from its own generation prompt",
            remedy="use a model whose template does",
        )
    rest = whole.removeprefix(start).rstrip("\n")
    before = tokenizer(start, add_special_tokens=False).input_ids
    after = tokenizer(rest, add_special_tokens=False).input_ids[: max_length // 2]
    return Encoded(prompt=before[-(max_length - len(after)) :], answer=after)


def answer_loss(model: Any, example: Encoded, where: torch.device) -> torch.Tensor:  # noqa: ANN401
    """Return the summed cross-entropy (nats) of the answer's tokens, given the prompt; a scalar.

    Logits are made for the answer's positions only: with a large vocabulary they would otherwise
    take more memory than the model.
    """
    ids = torch.tensor([example.prompt + example.answer], device=where)
    output = model(input_ids=ids, logits_to_keep=len(example.answer) + 1, use_cache=False)
    logits = output.logits[0, :-1].float()
    return F.cross_entropy(logits, ids[0, -len(example.answer) :], reduction="sum")


def adapter_modules(model: Any, adapter: AdapterConfig) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return one row per kind of projection: its shape, rank, layers and trainable parameters."""
    rows: dict[str, dict[str, Any]] = {}
    for name, module in model.named_modules():
        if not hasattr(module, "lora_A"):
            continue
        kind = name.rsplit(".", 1)[-1]
        size = sum(p.numel() for p in module.parameters() if p.requires_grad)
        row = rows.setdefault(
            kind,
            {
                "name": kind,
                "group": "attention" if kind in adapter.attention else "mlp",
                "in": module.in_features,
                "out": module.out_features,
                "rank": adapter.rank,
                "layers": 0,
                "parameters": 0,
            },
        )
        row["layers"] += 1
        row["parameters"] += size
    order = adapter.attention + adapter.mlp
    return sorted(rows.values(), key=lambda row: order.index(row["name"]))


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
