"""The LoRA adapter on a frozen base model: made, loaded, described."""

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

    Raises ``DataError`` when the adapter does not fit the base.
    """
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
