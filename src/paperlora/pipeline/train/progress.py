"""How far a training has come: the loss and memory of each step, and the best validation so far."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from paperlora.pipeline.train import memory


@dataclass(kw_only=True)
class Progress:
    """What changes while a model trains, and what a checkpoint keeps of it."""

    step: int = 0
    best_step: int = 0
    best_loss: float = float("inf")
    stale: int = 0
    """Validations since the best one."""
    seconds: float = 0.0
    """Time spent in training and validation, interruptions left out."""
    step_seconds: float = 0.0
    """The part of it spent in optimiser steps."""
    tokens: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def record(self, split: str, loss: float, *, rate: float | None, tokens: int) -> None:
        """Add a line to ``metrics.jsonl``."""
        self.rows.append(
            {
                "step": self.step,
                "split": split,
                "loss": round(loss, 6),
                "learning_rate": rate,
                "tokens": tokens,
                "seconds": round(self.seconds, 3),
                "memory": memory.now(),
            }
        )

    def series(self, split: str) -> list[list[float]]:
        """Return [[step, loss], …] of one split."""
        return [[row["step"], row["loss"]] for row in self.rows if row["split"] == split]

    def log(self, max_steps: int) -> None:
        """Say where training stands, for a log that has no progress bar."""
        train, validation = self.series("train"), self.series("validation")
        left = self.seconds / self.step * (max_steps - self.step)
        print(
            f"step {self.step}/{max_steps}: loss {train[-1][1]:.3f}, "
            f"validation {validation[-1][1]:.3f} (best {self.best_loss:.3f} at step "
            f"{self.best_step}), {self.seconds:.0f} s, at most {left:.0f} s left",
            file=sys.stderr,
        )
