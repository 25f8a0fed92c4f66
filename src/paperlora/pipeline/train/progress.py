"""Records the progress of a training: losses, counters, memory."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch


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
                "memory": memory_now(),
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


def memory_now() -> dict[str, int | None]:
    """Return the memory of this process, in bytes; without CUDA, what torch holds of the GPU is None."""
    gpu = torch.cuda.is_available()
    return {
        "host_bytes": psutil.Process().memory_info().rss,
        "gpu_allocated_bytes": torch.cuda.memory_allocated() if gpu else None,
        "gpu_reserved_bytes": torch.cuda.memory_reserved() if gpu else None,
    }


def memory_peak() -> dict[str, int | None]:
    """Return the most memory in use since the process started, with the keys of ``memory_now``."""
    gpu = torch.cuda.is_available()
    # VmHWM of proc(5). Not getrusage's ru_maxrss, which a process inherits from its parent.
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return {
        "host_bytes": int(found.group(1)) * 1024 if found else 0,
        "gpu_allocated_bytes": torch.cuda.max_memory_allocated() if gpu else None,
        "gpu_reserved_bytes": torch.cuda.max_memory_reserved() if gpu else None,
    }
