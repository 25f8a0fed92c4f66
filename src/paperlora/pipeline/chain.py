"""The commands that build on one another, over one run: parse → dataset → train → eval → report.

``SECTIONS`` says which sections of the configuration each command reads. A command gets these and
no others, and they make its key, together with its input files and its code: it runs again when one
of them has changed, and only then.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paperlora.errors import DataError
from paperlora.files import read_json, write_json
from paperlora.pipeline import freshness, inputs
from paperlora.pipeline.model import store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from paperlora.pipeline.parse.shard import Shard
    from paperlora.pipeline.run import Settings

SECTIONS: dict[str, tuple[str, ...]] = {
    "parse": ("corpus",),
    "dataset": ("dataset",),
    "train": ("model", "adapter", "train", "memory"),
    "eval": ("model", "eval"),
    "report": (),
    "infer": ("model", "dataset"),
}
"""Command → the sections of the configuration that it reads."""
CHAIN = ("parse", "dataset", "train", "eval", "report")
BEGINNERS = ("parse", "dataset", "train")
"""The commands that begin a run, and bring up to date what they build on."""
# Command → the folders of the pipeline that hold its code.
_CODE = {
    "parse": ("parse",),
    "dataset": ("dataset",),
    "train": ("model", "train"),
    "eval": ("model", "evaluate"),
    "report": ("report",),
}
_OUTPUTS = {
    "parse": ("documents.jsonl", "parse.json"),
    "dataset": ("dataset",),
    # The model card in adapter/ belongs to the report.
    "train": ("metrics.jsonl", "train.json", *inputs.ADAPTER),
    "eval": ("eval.json", "predictions.jsonl"),
    "report": ("report.json", "report.html", "plots", "adapter/README.md"),
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run, its settings, and the environment that works on it."""

    run: Path
    settings: Settings
    environment: dict[str, Any]
    """The environment record, which the results carry."""
    device: str
    forced: frozenset[str] = frozenset()
    """The commands to run again although nothing changed."""
    shard: Shard | None = None
    """The part of the papers to read; `parse` without it joins all parts."""

    def sections(self, command: str) -> dict[str, Any]:
        """Return the sections that ``command`` reads, by name."""
        return {name: getattr(self.settings.config, name) for name in SECTIONS[command]}


def check(job: Job, names: Sequence[str]) -> None:
    """Raise ``InputError`` when the settings ask for what cannot be had; nothing is written.

    New and changed settings are looked at whether or not the named commands read them: a later
    command would. Unchanged ones are looked at where a command is about to use them.
    """
    plan, new = _plan(names), job.settings.new
    changed = {change.split(" ")[0] for change in job.settings.changes}
    sections = {key.partition(".")[0] for key in changed}
    if new or "model.id" in changed or any("model" in SECTIONS[name] for name in plan):
        store.check_named(job.settings.config.model.id)
    if "parse" in plan or "corpus.papers" in changed:
        from paperlora.pipeline.parse import parse  # noqa: PLC0415 - only the command that runs pays

        parse.list_papers(inputs.papers_folder(job.settings.config))
        inputs.listed(job.settings.config)
    memory = job.settings.config.memory
    asks = {memory.step, memory.activations, memory.embeddings, memory.optimizer} != {"auto"}
    if "memory" in sections or (new and asks) or ("train" in plan and (new or changed)):
        from paperlora.pipeline.config import TrainSections  # noqa: PLC0415
        from paperlora.pipeline.train import accumulate  # noqa: PLC0415 - imports torch

        accumulate.check(TrainSections(**job.sections("train")), job.device)


def execute(job: Job, names: Sequence[str]) -> None:
    """Run the named commands. The first three also bring up to date what they build on."""
    if job.shard:
        _parse(job, {})  # `parse` without a shard records what it read and wrote
        return
    note = None
    for name in _plan(names):
        if name not in BEGINNERS and note is None:
            require_adapter(job.run)
            if "environment" not in read_json(job.run / "train.json"):
                raise DataError(
                    f"the adapter of {job.run} has no record of its environment: an earlier version "
                    "made it",
                    remedy="run `train`: it makes a new one and keeps this one beside it",
                )
            note = adapter_note(job)
            _print_note(note)
        if name == "report":
            scores = _score_note(job)
            _print_note(scores)
            write_json(job.run / "notes.json", [one for one in (note, scores) if one])
        read = inputs_of(job, name)
        same = freshness.changes(job.run, name, read) == []
        if same and name not in job.forced and freshness.lost(job.run, name) == []:
            print(f"{name}: nothing changed{_elsewhere(job, name)}", file=sys.stderr)
        else:
            if name in job.forced:
                # interrupted, it is unfinished: the same command without --force resumes it
                freshness.reopen(job.run, name)
            _COMMANDS[name](job, read)
            freshness.write(job.run, name, read, [job.run / one for one in _OUTPUTS[name]])
        if name == "dataset":
            from paperlora.pipeline.dataset.dataset import SPLITS  # noqa: PLC0415

            counts = read_json(job.run / "dataset" / "dataset.json")["examples"]
            shown = ", ".join(f"{counts[split]} {split}" for split in SPLITS)
            print(f"dataset: {shown}", file=sys.stderr)


def _print_note(note: str) -> None:
    if note:
        print(f"note: {note}", file=sys.stderr)


def require_adapter(run: Path) -> None:
    """Raise ``DataError`` unless ``run`` has an adapter with its configuration."""
    for name in (*inputs.ADAPTER, "train.json"):
        if not (run / name).is_file():
            missing = "no adapter" if name == inputs.ADAPTER[0] else f"an adapter without {name}"
            raise DataError(f"{run} has {missing}", remedy="run `train` for this run first")


def _plan(names: Sequence[str]) -> list[str]:
    """Return the commands to run, in order. The report is what an evaluation is for."""
    begun = [CHAIN.index(name) for name in names if name in BEGINNERS]
    rest = [name for name in ("eval", "report") if name in names or "eval" in names]
    return [*CHAIN[: max(begun, default=-1) + 1], *rest]


def first_again(change: str) -> str:
    """Return the first command that reads a changed setting (``train.seed 0 → 1``)."""
    section = change.partition(".")[0]
    return next(name for name in CHAIN if section in SECTIONS[name])


def adapter_note(job: Job) -> str:
    """Return one sentence on what changed since the adapter was made; empty when nothing did."""
    changed = [
        phrase
        for name in BEGINNERS
        for phrase in freshness.changes(job.run, name, inputs_of(job, name)) or ()
    ]
    if any(name.startswith("adapter/") for name in freshness.lost(job.run, "train") or ()):
        changed.append("the adapter is not as `train` wrote it")
    made = f"the adapter was made before a change: {', '.join(changed)}"
    return f"{made} (`train` makes a new one)" if changed else ""


def _score_note(job: Job) -> str:
    changed = freshness.changes(job.run, "eval", inputs_of(job, "eval")) or []
    if freshness.lost(job.run, "eval"):
        changed.append("the scores are not as `eval` wrote them")
    made = f"the scores were computed before a change: {', '.join(changed)}"
    return f"{made} (`eval` computes new ones)" if changed else ""


def _elsewhere(job: Job, name: str) -> str:
    """Return a remark for a finished training that another environment did."""
    if name != "train":
        return ""
    made = read_json(job.run / "train.json").get("environment", {})
    same = made.get("fingerprint") == job.environment["fingerprint"]
    return "" if same else " (trained in another environment; --force trains again in this one)"


def inputs_of(job: Job, command: str) -> dict[str, Any]:
    """Return all that decides what ``command`` computes."""
    from paperlora.pipeline import config_file  # noqa: PLC0415 - it needs pydantic

    values = config_file.as_dict(job.settings.config)
    return {
        "code": freshness.code(*_CODE[command]),
        "settings": {name: values[name] for name in SECTIONS[command]},
        **inputs.OF[command](job.run, job.settings.config),
    }


def _parse(job: Job, _: dict[str, Any]) -> None:
    from paperlora.pipeline.parse import parse  # noqa: PLC0415

    (corpus,) = job.sections("parse").values()
    folder, known = inputs.papers_folder(job.settings.config), inputs.listed(job.settings.config)
    parse.command(
        folder,
        job.run,
        known=known,
        config=corpus,
        shard=job.shard,
        again="parse" in job.forced,
    )


def _dataset(job: Job, _: dict[str, Any]) -> None:
    from paperlora.pipeline.dataset import dataset  # noqa: PLC0415

    (section,) = job.sections("dataset").values()
    dataset.build(job.run, section)


def _train(job: Job, read: dict[str, Any]) -> None:
    from paperlora.pipeline.config import TrainSections  # noqa: PLC0415
    from paperlora.pipeline.train import train  # noqa: PLC0415

    train.train(
        job.run,
        TrainSections(**job.sections("train")),
        inputs=read,
        environment=job.environment,
        device=job.device,
        resume="train" not in job.forced,
    )


def _eval(job: Job, _: dict[str, Any]) -> None:
    from paperlora.pipeline.config import EvalSections  # noqa: PLC0415
    from paperlora.pipeline.evaluate import evaluate  # noqa: PLC0415

    sections = EvalSections(**job.sections("eval"))
    evaluate.evaluate(job.run, sections, environment=job.environment, device=job.device)


def _report(job: Job, _: dict[str, Any]) -> None:
    from paperlora.pipeline.report import report  # noqa: PLC0415

    report.report(job.run)


_COMMANDS: dict[str, Callable[[Job, dict[str, Any]], None]] = {
    "parse": _parse,
    "dataset": _dataset,
    "train": _train,
    "eval": _eval,
    "report": _report,
}
