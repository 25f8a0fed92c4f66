"""Records the progress of a training: loss and memory of each step, and the best validation so far."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from paperlora.pipeline.train import memory


@dataclass(kw_only=True)
class Progress:
    """The counters of a training; a checkpoint stores all of them."""

    step: int = 0
    """Optimiser steps taken."""
    best_step: int = 0
    best_loss: float = float("inf")
    """Nats per answer token, on the validation split."""
    stale: int = 0
    """Validations since the best one; early stopping compares it with ``train.patience``."""
    seconds: float = 0.0
    """Time spent in training and validation, without the time between an interruption and its resumption."""
    step_seconds: float = 0.0
    """The part of ``seconds`` spent in optimiser steps."""
    tokens: int = 0
    """Tokens of the training examples so far, prompts included."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """The lines of ``metrics.jsonl``."""

    def record(self, split: str, loss: float, *, rate: float | None, tokens: int) -> None:
        """Add a row; ``loss`` is in nats per answer token, ``rate`` the learning rate."""
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
        """Return [[step, loss], …] of one split: ``train`` or ``validation``."""
        return [[row["step"], row["loss"]] for row in self.rows if row["split"] == split]

    def log(self, max_steps: int) -> None:
        """Print the progress to stderr, for a log that has no progress bar."""
        train, validation = self.series("train"), self.series("validation")
        left = self.seconds / self.step * (max_steps - self.step)
        print(
            f"step {self.step}/{max_steps}: loss {train[-1][1]:.3f}, "
            f"validation {validation[-1][1]:.3f} (best {self.best_loss:.3f} at step "
            f"{self.best_step}), {self.seconds:.0f} s, at most {left:.0f} s left",
            file=sys.stderr,
        )
