"""What each optimiser step takes: its examples and its learning rate."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paperlora.pipeline.config import TrainConfig


def batch_indices(size: int, step: int, accumulation: int, seed: int) -> list[int]:
    """Return the examples of one step (from 0) by index: each epoch takes all, in an order of its own.

    The order depends on the seed and the epoch alone, so a resumed training takes the same examples.
    """
    indices = []
    # A step may cross from one epoch into the next.
    for place in range(step * accumulation, (step + 1) * accumulation):
        epoch, position = divmod(place, size)
        order = list(range(size))
        random.Random(f"{seed}:{epoch}").shuffle(order)
        indices.append(order[position])
    return indices


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the learning rate of a step (from 0): linear warm-up, then linear decay towards zero."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    left = (config.max_steps - step) / max(1, config.max_steps - config.warmup_steps)
    return config.learning_rate * left
