"""Saves and restores a training: one safetensors file, which is complete or absent, and holds no pickle.

It holds the adapter, the optimiser's moments, the best adapter so far and the state of the random
generators as tensors, and the counters as JSON in the file's metadata.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from paperlora.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOMENT = "optimizer/"  # and its name, then that of the parameter


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:  # noqa: ANN401 - peft carries no types
    """Return the parameters that need a gradient, those of the adapter, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def random_state() -> dict[str, torch.Tensor]:
    """Return the state of torch's random generators, on the CPU and on the current GPU."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def save(
    path: Path,
    *,
    model: Any,  # noqa: ANN401
    optimizer: torch.optim.Optimizer,
    best: Mapping[str, torch.Tensor],
    rng: Mapping[str, torch.Tensor],
    counters: dict[str, Any],
) -> None:
    """Write what training needs to resume with the same bits; ``counters`` must be JSON."""
    tensors: dict[str, torch.Tensor] = {f"rng/{name}": value for name, value in rng.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for name, parameter in trainable(model).items():
        tensors[f"now/{name}"] = parameter.detach()
        for moment, value in optimizer.state.get(parameter, {}).items():
            # torch's AdamW counts its steps in a tensor, bitsandbytes' in an int.
            kept = value if isinstance(value, torch.Tensor) else torch.tensor(int(value))
            tensors[f"{_MOMENT}{moment}/{name}"] = kept
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        # Cloned: safetensors refuses tensors that share memory, as the parameters of a packed step do.
        save_file(
            {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()},
            part,
            metadata={"counters": json.dumps(counters)},
        )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def counters(path: Path) -> dict[str, Any] | None:
    """Return the counters of a checkpoint, or None if there is no file.

    Raises ``DataError`` when the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
            return dict(json.loads(file.metadata()["counters"]))
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise DataError(
            f"{path} is damaged", remedy="delete it to train from the start, or add --force"
        ) from None


def restore(
    path: Path,
    *,
    model: Any,  # noqa: ANN401
    optimizer: torch.optim.Optimizer,
) -> dict[str, torch.Tensor]:
    """Restore ``model``, ``optimizer`` and the random generators; return the best adapter so far."""
    with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    parameters = trainable(model)
    for name, parameter in parameters.items():
        parameter.data.copy_(stored[f"now/{name}"])
    for key, value in stored.items():
        if not key.startswith(_MOMENT):
            continue
        moment, _, name = key.removeprefix(_MOMENT).partition("/")
        state = optimizer.state[parameters[name]]
        # The step count stays on the host: a float tensor in torch's AdamW, an int in bitsandbytes'.
        if moment == "step":
            state[moment] = value if value.is_floating_point() else int(value)
        else:
            state[moment] = value.to(parameters[name].device)
    torch.set_rng_state(stored["rng/cpu"])
    if "rng/cuda" in stored and torch.cuda.is_available():
        torch.cuda.set_rng_state(stored["rng/cuda"])
    return {n.removeprefix("best/"): t for n, t in stored.items() if n.startswith("best/")}
