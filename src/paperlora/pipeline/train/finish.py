"""What a finished training leaves: ``train.json``, and the new adapter in its place."""

from __future__ import annotations

import itertools
import shutil
import sys
from typing import TYPE_CHECKING, Any

from paperlora.files import sha256_file
from paperlora.pipeline.model import adapter, load
from paperlora.pipeline.train.progress import memory_peak

if TYPE_CHECKING:
    from pathlib import Path

    from paperlora.pipeline.config import TrainSections
    from paperlora.pipeline.model.load import Loaded
    from paperlora.pipeline.train.progress import Progress


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
    """Put the new adapter in its place; keep a different one beside it as ``adapter.1``, ``adapter.2``.

    Each adapter has its own ``train.json`` in its folder; the one of the run is a copy.
    """
    place, new = run / "adapter", work / "adapter"
    files = ("adapter_model.safetensors", "adapter_config.json")
    if place.exists() and all(_same(place / name, new / name) for name in files):
        shutil.rmtree(work / "same", ignore_errors=True)  # of a publishing that was killed
        place.rename(work / "same")
    elif place.exists():
        number = next(n for n in itertools.count(1) if not (run / f"adapter.{n}").exists())
        if not (place / "train.json").exists() and (run / "train.json").is_file():
            shutil.copyfile(run / "train.json", place / "train.json")
        place.rename(run / f"adapter.{number}")
        print(f"the earlier adapter is kept in {run / f'adapter.{number}'}", file=sys.stderr)
    shutil.copyfile(work / "train.json", new / "train.json")
    new.rename(place)
    for name in ("train.json", "metrics.jsonl"):
        (work / name).replace(run / name)
    shutil.rmtree(work)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and sha256_file(one) == sha256_file(other)
