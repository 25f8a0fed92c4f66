"""Adds a LoRA adapter to a frozen base model (Hu et al. 2021), loads a saved one, and describes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, get_peft_model

from paperlora.errors import InputError
from paperlora.pipeline.model import adapter_files

if TYPE_CHECKING:
    from pathlib import Path

    from paperlora.pipeline.config import AdapterConfig, TrainConfig
    from paperlora.pipeline.model.load import Loaded


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


def load_adapter(loaded: Loaded, folder: Path) -> Any:  # noqa: ANN401 - peft carries no types
    """Return the base wrapped in the saved adapter of ``folder``, frozen and in evaluation mode.

    Raises ``DataError`` when the adapter does not fit the base.
    """
    model = adapter_files.load(loaded.model, folder)
    model.eval()
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
