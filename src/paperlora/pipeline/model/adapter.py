"""Adds a LoRA adapter to a frozen base model (Hu et al. 2021), describes it, saves it and loads it.

A saved adapter has peft's layout, and the same adapter always gives the same bytes. Training uses
Gemma 3n's text half without its towers (``Gemma3nForCausalLM``). ``AutoModelForCausalLM`` loads the
whole model from the same checkpoint, and there the layers have a longer name. The files hold the
longer name, so that an adapter fits the model that other programs load.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from paperlora.errors import DataError, InputError
from paperlora.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from paperlora.pipeline.config import AdapterConfig, TrainConfig
    from paperlora.pipeline.model.load import Loaded

_ALONE, _WHOLE = "model.layers.", "model.language_model.layers."
_WRAPPED, _A = "base_model.model.", ".lora_A.weight"  # how peft names a module's tensor


def add_adapter(loaded: Loaded, adapter: AdapterConfig, train: TrainConfig) -> Any:  # noqa: ANN401
    """Return the base wrapped by peft in a new, trainable adapter, which is float32.

    A is random and B is zero, so the model computes what the base does. Raises ``InputError`` when
    the model lacks a projection that the configuration names.
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
    # peft would store the folder of this machine; the adapter must load on any machine.
    model.peft_config["default"].base_model_name_or_path = loaded.files.id
    return model


def targets(model: Any, wanted: list[str]) -> list[str]:  # noqa: ANN401
    """Return the full names of the linear modules to adapt, given the last parts of their names.

    In Gemma 3n the last layers use the keys and values of an earlier layer. Their own ``k_proj`` and
    ``v_proj`` are never computed, so these are not adapted.
    """
    shared = getattr(model.config.get_text_config(), "num_kv_shared_layers", 0) or 0
    first_shared = model.config.get_text_config().num_hidden_layers - shared
    names = []
    for name, module in model.named_modules():
        layer = re.search(r"\blayers\.(\d+)\.", name)
        kind = name.rsplit(".", 1)[-1]
        unused = kind in ("k_proj", "v_proj") and layer and int(layer.group(1)) >= first_shared
        if layer and kind in wanted and isinstance(module, torch.nn.Linear) and not unused:
            names.append(name)
    return names


def adapter_modules(model: Any, adapter: AdapterConfig) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return one row for each kind of projection: shape, rank, number of layers, trainable parameters."""
    rows: dict[str, dict[str, Any]] = {}
    for name, module in model.named_modules():
        if not hasattr(module, "lora_A"):
            continue
        kind = name.rsplit(".", 1)[-1]
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
        row["parameters"] += sum(p.numel() for p in module.parameters() if p.requires_grad)
    order = adapter.attention + adapter.mlp
    return sorted(rows.values(), key=lambda row: order.index(row["name"]))


def save_adapter(tuned: Any, loaded: Loaded, folder: Path) -> None:  # noqa: ANN401 - peft carries no types
    """Write the adapter of ``tuned``, the wrapped ``loaded``, to ``folder``: completely or not at all."""
    part = folder.with_name(".adapter.part")
    shutil.rmtree(part, ignore_errors=True)
    # The default, "auto", asks the model hub for the size of the vocabulary.
    tuned.save_pretrained(part, save_embedding_layers=False)
    path = part / "adapter_model.safetensors"
    tensors = load_file(path)
    # The text half of a checkpoint that also has towers (Gemma 3n).
    checkpoint = read_json(loaded.files.directory / "config.json").get("model_type")
    if checkpoint == "gemma3n" and hasattr(loaded.model.model, "layers"):
        tensors = {name.replace(_ALONE, _WHOLE): value for name, value in tensors.items()}
        save_file(tensors, path, metadata={"format": "pt"})
    config = read_json(part / "adapter_config.json")
    # peft shortens the names to what is unique in this model, such as `q_proj`, which the towers also
    # have. It also keeps them in a set, whose order changes from process to process.
    config["target_modules"] = sorted(
        name.removeprefix(_WRAPPED).removesuffix(_A) for name in tensors if name.endswith(_A)
    )
    write_json(part / "adapter_config.json", config)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def load_adapter(loaded: Loaded, folder: Path) -> Any:  # noqa: ANN401 - peft carries no types
    """Return the base wrapped in the adapter of ``folder``, frozen and in evaluation mode.

    The layers of the base may have either name. Raises ``DataError`` when the adapter has others.
    """
    text_alone = any(name.startswith(_ALONE) for name, _ in loaded.model.named_modules())

    def named(name: str) -> str:
        return name.replace(_WHOLE, _ALONE) if text_alone else name

    try:
        config = LoraConfig.from_pretrained(folder)
        config.inference_mode = True
        config.base_model_name_or_path = None  # peft warns unless it is the loaded model's name
        config.target_modules = [named(name) for name in config.target_modules]
        tensors = load_file(folder / "adapter_model.safetensors")
        tuned = get_peft_model(loaded.model, config)
        found = set_peft_model_state_dict(tuned, {named(n): value for n, value in tensors.items()})
    except (RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise DataError(
            f"{folder} is damaged or does not fit the model: {str(error).splitlines()[0]}",
            remedy="run `train` again",
        ) from None
    lost = [*found.unexpected_keys, *(name for name in found.missing_keys if "lora_" in name)]
    if lost:
        raise DataError(f"{folder} does not fit the model at {lost[0]}", remedy="run `train` again")
    return tuned.eval()
