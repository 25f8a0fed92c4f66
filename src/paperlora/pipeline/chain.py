"""The chain parse → dataset → train → eval → report over one run directory.

Each command first brings what it builds on up to date, does nothing when its inputs and outputs are
as it left them, and stamps its work when it is whole.
"""

from __future__ import annotations

import fcntl
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paperlora.errors import InputError
from paperlora.files import ROOT, read_json, sha256_file, write_json, write_text
from paperlora.pipeline import freshness
from paperlora.pipeline.model import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from paperlora.pipeline.config import RunConfig

CHAIN = ("parse", "dataset", "train", "eval", "report")
PAPERS_LIST = ROOT / "lockfiles" / "papers.json"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run directory, what to do in it, and the environment that does it."""

    run: Path
    config: RunConfig
    environment: dict[str, Any]
    device: str
    forced: frozenset[str] = frozenset()
    """The commands to do again though nothing changed; what they build on is not."""

    @property
    def arithmetic(self) -> dict[str, str]:
        """What decides the last bits of a result beside its inputs."""
        gpu = self.environment["observed"].get("gpu")
        device = self.device if self.device != "auto" else ("cuda" if gpu else "cpu")
        return {"environment": self.environment["fingerprint"], "device": device}


@contextmanager
def opened(job: Job) -> Iterator[None]:
    """Hold the run directory for one process and store the configuration in it.

    Raises ``InputError`` when another process works there, or it is somebody else's folder.
    """
    if job.run.is_dir() and any(job.run.iterdir()) and not (job.run / ".lock").exists():
        raise InputError(f"{job.run} holds something that is no run", remedy="name another --run")
    job.run.mkdir(parents=True, exist_ok=True)
    with (job.run / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{job.run} is in use by another process",
                remedy="wait for it, or name another --run",
            ) from None
        # Not above: the commands of the locks import this module without an environment.
        from paperlora.pipeline.config import to_toml  # noqa: PLC0415

        write_text(job.run / "config.toml", to_toml(job.config))
        yield


def execute(job: Job, names: Sequence[str]) -> None:
    """Bring the named commands, and all that they build on, up to date."""
    last = max(CHAIN.index(name) for name in names)
    # The report is what an evaluation is for.
    last = CHAIN.index("report") if CHAIN[last] == "eval" else last
    store.check_named(job.config.model.id)  # before the run stores it, or spends time on papers
    with opened(job):
        for name in CHAIN[: last + 1]:
            _COMMANDS[name](job)


def papers_folder(config: RunConfig) -> Path:
    """Return the folder of PDFs that a run reads."""
    from paperlora.pipeline.config import SHIPPED_PAPERS  # noqa: PLC0415

    papers = config.corpus.papers
    return SHIPPED_PAPERS if papers == "shipped" else Path(papers)


def _once(
    job: Job, name: str, inputs: object, outputs: Sequence[str], action: Callable[[], object]
) -> None:
    """Run ``action`` unless its stamp says that nothing changed; then stamp it."""
    if name not in job.forced and freshness.fresh(job.run, name, inputs):
        print(f"{name}: nothing changed", file=sys.stderr)
        return
    freshness.clear(job.run, name)
    write_json(job.run / "environment.json", job.environment)
    action()
    freshness.write(job.run, name, inputs, [job.run / output for output in outputs])


def _parse(job: Job) -> None:
    from paperlora.pipeline.fetch import paper_list  # noqa: PLC0415 - only the command that runs pays
    from paperlora.pipeline.parse import parse  # noqa: PLC0415 - only the command that runs pays

    folder = papers_folder(job.config)
    shipped = job.config.corpus.papers == "shipped"
    listing = PAPERS_LIST if shipped else folder / paper_list.LIST_NAME
    listed = paper_list.read(listing) if listing.is_file() else []
    known = [asdict(paper) for paper in listed]
    inputs = {
        "code": freshness.code("parse"),
        "environment": job.environment["fingerprint"],
        "papers": {pdf.name: _digest(pdf) for pdf in parse.list_papers(folder)},
        "known": known,
        "limits": [job.config.corpus.timeout_seconds, job.config.corpus.memory_mib],
    }
    _once(
        job,
        "parse",
        inputs,
        ["documents.jsonl", "parse.json"],
        lambda: parse.command(folder, job.run, known=known, config=job.config.corpus),
    )


def _digest(pdf: Path) -> str:
    try:
        return sha256_file(pdf)
    except OSError:
        return "unreadable"  # `parse` rejects it with the reason; the other papers go on


def _dataset(job: Job) -> None:
    from paperlora.pipeline.dataset import dataset  # noqa: PLC0415

    inputs = {
        "code": freshness.code("dataset"),
        "documents": sha256_file(job.run / "documents.jsonl"),
        "config": job.config.dataset.model_dump(),
    }
    _once(
        job,
        "dataset",
        inputs,
        ["dataset"],
        lambda: dataset.build(job.run, job.config.dataset),
    )
    counts = read_json(job.run / "dataset" / "dataset.json")["examples"]
    print(
        "dataset: " + ", ".join(f"{counts[split]} {split}" for split in dataset.SPLITS),
        file=sys.stderr,
    )


def _model_inputs(job: Job) -> dict[str, Any]:
    return {
        "model": store.pin(job.config.model.id),
        "model_config": job.config.model.model_dump(),
        **job.arithmetic,
    }


def _train(job: Job) -> None:
    data = job.run / "dataset"
    inputs = {
        **_model_inputs(job),
        "code": freshness.code("model", "train"),
        "data": {split: sha256_file(data / f"{split}.jsonl") for split in ("train", "validation")},
        "adapter": job.config.adapter.model_dump(),
        "train": job.config.train.model_dump(),
    }

    def action() -> None:
        from paperlora.pipeline.train import train  # noqa: PLC0415

        if "train" in job.forced:
            (job.run / "checkpoints" / "last.safetensors").unlink(missing_ok=True)
        print(
            f"train: {job.config.model.id}, up to {job.config.train.max_steps} steps of "
            f"{job.config.train.accumulation} examples",
            file=sys.stderr,
        )
        train.train(job.run, job.config, inputs=inputs, device=job.device)

    # The model card in adapter/ is the report's: only what training writes is training's output.
    adapter = ["adapter/adapter_model.safetensors", "adapter/adapter_config.json"]
    _once(job, "train", inputs, ["metrics.jsonl", "train.json", *adapter], action)


def _eval(job: Job) -> None:
    from paperlora.pipeline.dataset.dataset import SPLITS  # noqa: PLC0415

    data = job.run / "dataset"
    inputs = {
        **_model_inputs(job),
        "code": freshness.code("model", "evaluate"),
        "data": {split: sha256_file(data / f"{split}.jsonl") for split in SPLITS},
        "adapter": sha256_file(job.run / "adapter" / "adapter_model.safetensors"),
        "eval": job.config.eval.model_dump(),
    }

    def action() -> None:
        from paperlora.pipeline.evaluate import evaluate  # noqa: PLC0415

        evaluate.evaluate(job.run, job.config, device=job.device)

    _once(job, "eval", inputs, ["eval.json", "predictions.jsonl"], action)


def _report(job: Job) -> None:
    from paperlora.pipeline.report import report  # noqa: PLC0415

    names = sorted(report.INPUTS)
    inputs = {
        "code": freshness.code("report"),
        "files": {
            name: sha256_file(job.run / name)
            for name in names
            if name != "environment.json" and (job.run / name).is_file()
        },
        "environment": job.environment["fingerprint"],
        "findings": job.environment["findings"],
    }
    outputs = ["report.json", "report.html", "plots", "adapter/README.md"]
    _once(job, "report", inputs, outputs, lambda: report.report(job.run))


_COMMANDS: dict[str, Callable[[Job], None]] = {
    "parse": _parse,
    "dataset": _dataset,
    "train": _train,
    "eval": _eval,
    "report": _report,
}
