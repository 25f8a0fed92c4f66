"""Records the progress of a training (losses, memory), and writes what a finished one leaves.

That is ``train.json``, and the new adapter in its place.
"""

from __future__ import annotations

import itertools
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch

from paperlora.files import sha256_file
from paperlora.pipeline.model import adapter, load

if TYPE_CHECKING:
    from paperlora.pipeline.config import TrainSections
    from paperlora.pipeline.model.load import Loaded


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


def summary(
    tuned: Any,  # noqa: ANN401 - peft carries no types
    how: dict[str, Any],
    progress: Progress,
    loaded: Loaded,
    config: TrainSections,
) -> dict[str, Any]:
    """Return what ``train.json`` says of the model, the adapter and the training."""
    modules = adapter.adapter_modules(tuned, config.adapter)
    text = loaded.model.config.get_text_config()
    return {
        "model": {
            "id": loaded.files.id,
            "revision_or_sha256": loaded.files.revision,
            "licence": loaded.files.licence,
            "repository": loaded.files.repository,
            "kind": loaded.files.kind,
            "derived": loaded.files.derived,
            "vocabulary": text.vocab_size,
            "parameters": load.parameter_count(tuned),
            "trainable": sum(row["parameters"] for row in modules),
            "quantization": {
                "method": "nf4",
                "double": True,
                "block": 64,  # bitsandbytes' default
                "compute_dtype": str(loaded.compute_dtype).removeprefix("torch."),
            },
            "device": load.device_name(loaded.device),
            "hidden_size": text.hidden_size,
            "layers": text.num_hidden_layers,
        },
        "adapter": {
            "rank": config.adapter.rank,
            "alpha": config.adapter.alpha,
            "dropout": config.adapter.dropout,
            "modules": modules,
        },
        "train": {
            "steps": progress.step,
            "max_steps": config.train.max_steps,
            "stopped_early": progress.step < config.train.max_steps,
            "best_step": progress.best_step,
            "loss": progress.series("train"),
            "validation_loss": progress.series("validation"),
            "seconds": round(progress.seconds, 3),
            "tokens_per_second": round(progress.tokens / progress.step_seconds, 1),
            "how": how,
            "peak_memory": {**memory_peak(), "gpu_load_bytes": loaded.load_gpu_bytes},
        },
    }


def publish(run: Path, work: Path) -> None:
    """Put the new adapter in its place; keep a different one beside it as ``adapter.1``, 2 and so on."""
    place, weights = run / "adapter", "adapter_model.safetensors"
    same = (place / weights).is_file() and (
        sha256_file(place / weights) == sha256_file(work / "adapter" / weights)
    )
    if same:
        shutil.rmtree(place)
    elif place.exists():
        number = next(n for n in itertools.count(1) if not (run / f"adapter.{n}").exists())
        if (run / "train.json").is_file():
            shutil.copyfile(run / "train.json", place / "train.json")
        place.rename(run / f"adapter.{number}")
        print(f"the earlier adapter is kept in {run / f'adapter.{number}'}", file=sys.stderr)
    (work / "adapter").rename(place)
    for name in ("train.json", "metrics.jsonl"):
        (work / name).replace(run / name)
    shutil.rmtree(work)
