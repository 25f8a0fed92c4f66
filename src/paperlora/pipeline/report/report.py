"""The ``report`` command: collect a whole run in ``report.json``, then draw and render it.

The plots, ``report.html`` and the model card are made from ``report.json``, ``metrics.jsonl`` and
``documents.jsonl``; nothing is read back from a plot or a rendered file. The same inputs give the
same bytes.
"""

from __future__ import annotations

import json
import textwrap
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from paperlora.errors import DataError
from paperlora.files import (
    atomic,
    read_json,
    read_jsonl,
    sha256_json,
    write_json,
    write_text,
)
from paperlora.pipeline.dataset.dataset import SPLITS
from paperlora.pipeline.report import render
from paperlora.pipeline.report.plots import plots
from paperlora.pipeline.run import runs_folder

SCHEMA = 1
PAPER = (
    *("paper", "file", "sha256", "title", "field"),
    *("extractor", "quality", "words", "page_count", "bad_pages"),
)
"""What the report keeps of a line of ``documents.jsonl``."""

_MISSED = {"formula", "table", "figure", "note", "contents"}
_MOST_SHOWN = 100  # parts of one paper
_RECORD = (
    *("environment.target", "environment.fingerprint", "environment.lock_digest"),
    *("environment.python", "environment.platform", "environment.packages"),
    *("environment.findings", "environment.verified", "environment.observed"),
)
INPUTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "config.toml": ("train", ()),
    "documents.jsonl": ("parse", (*PAPER, "paragraphs", "aside")),
    "parse.json": ("parse", ("rejected",)),
    "dataset/dataset.json": ("dataset", ("digest", "papers", "examples")),
    "metrics.jsonl": ("train", ("step", "split", "memory")),
    "train.json": ("train", ("model", "adapter", "train", *_RECORD)),
    "eval.json": (
        "eval",
        (*("metric", "base", "tuned", "controls", "generalisation_gap", "samples"), *_RECORD),
    ),
}
"""What a report is made of: file → the command that writes it, the keys its objects must have."""

NOTES = "notes.json"
"""A list of sentences on how the adapter differs from the run's settings; a run may lack it."""


def finite(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return ``value`` as it is after a round trip through strict JSON.

    NaN and the infinities become null, dates become text, half surrogate pairs question marks.
    """
    text = json.dumps(value, default=str, ensure_ascii=False)
    # half of a surrogate pair, as a damaged PDF can give it, cannot be written as UTF-8
    return json.loads(text.encode(errors="replace"), parse_constant=lambda _: None)


def _remedy(command: str, run: Path) -> str:
    return f"run `env/nox -s {command} -- --run {run}` first"


def _read(run: Path, name: str) -> Any:  # noqa: ANN401 - JSON is whatever its writer says it is
    """Return the content of one input of the report, with every NaN replaced by null.

    Raises ``DataError`` that names the file and the command that writes it.
    """
    command, keys = INPUTS[name]
    path, remedy = run / name, _remedy(command, run)
    if not path.is_file():
        raise DataError(f"{path} is missing", remedy=remedy)
    if name.endswith(".toml"):
        try:
            return finite(tomllib.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise DataError(f"{path} is not TOML: {error}", remedy=remedy) from None
    lines = name.endswith(".jsonl")
    content = finite(read_jsonl(path) if lines else read_json(path))
    for item in content if lines else [content]:
        absent = dict.fromkeys(filter(None, (_missing(item, key) for key in keys)))
        if absent:
            raise DataError(f"{path} lacks {', '.join(absent)}", remedy=remedy)
    return content


def _missing(value: Any, dotted: str) -> str | None:  # noqa: ANN401 - JSON
    """Return the first part of a dotted key that nested dictionaries lack, or None."""
    found = ""
    for key in dotted.split("."):
        found = f"{found}.{key}".lstrip(".")
        if not isinstance(value, dict) or key not in value:
            return found
        value = value[key]
    return None


def _notes(run: Path) -> list[str]:
    """Return the sentences of ``notes.json``; none when the run has no such file."""
    notes = finite(read_json(run / NOTES)) if (run / NOTES).is_file() else []
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise DataError(f"{run / NOTES} is not a list of texts", remedy=_remedy("eval", run))
    return notes


def _corpus(
    documents: list[dict[str, Any]], rejected: list[dict[str, str]], papers: dict[str, list[str]]
) -> dict[str, Any]:
    """Return what each paper gave, which extractor read it, and which split it is in."""
    split_of = {paper: split for split in SPLITS for paper in papers.get(split, [])}
    return {
        "papers": len(documents),
        "digest": sha256_json({item["paper"]: item["sha256"] for item in documents}),
        "words": {item["paper"]: item["words"] for item in documents},
        "extractors": {item["paper"]: item["extractor"] for item in documents},
        "documents": [
            {key: item[key] for key in PAPER}
            | {"split": split_of.get(item["paper"]), "aside": _aside(item["aside"])}
            for item in documents
        ],
        "rejected": rejected,
    }


def _aside(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the words of each role that was set aside, and the beginnings of what a person may miss."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts[part["role"]] += len(part["text"].split())
    shown = [part for part in parts if part["role"] in _MISSED][:_MOST_SHOWN]
    return {
        "words": dict(sorted(counts.items())),
        "parts": [part | {"text": textwrap.shorten(part["text"], 100)} for part in shown],
    }


def run_argument(run: Path) -> str:
    """Return what follows ``--run`` for this run, without private folders."""
    folder = run.resolve()
    named = folder.parent == runs_folder().resolve()
    return folder.name if named else f"path/to/{folder.name}"


def assemble(run: Path) -> dict[str, Any]:
    """Return the report on ``run``: schema 1, finite numbers only, ready for JSON.

    It names no private folder, because it may be given to others. ``compare.APART`` lists what may
    differ between two runs of one seed. Raises ``DataError`` when an input is missing or damaged,
    naming the command that writes it.
    """
    inputs = {name: _read(run, name) for name in INPUTS}
    dataset, trained, evaluated = (
        inputs[name] for name in ("dataset/dataset.json", "train.json", "eval.json")
    )
    return {
        "schema": SCHEMA,
        "run": run.resolve().name,
        "run_argument": run_argument(run),
        "notes": _notes(run),
        "config": _without_folders(inputs["config.toml"]),
        "environment": trained["environment"],
        "environments": {"train": trained["environment"], "eval": evaluated["environment"]},
        "model": trained["model"],
        "adapter": trained["adapter"],
        "corpus": _corpus(
            inputs["documents.jsonl"], inputs["parse.json"]["rejected"], dataset["papers"]
        ),
        "dataset": dataset,
        "train": trained["train"],
        "eval": {k: v for k, v in evaluated.items() if k not in {"samples", "environment"}},
        "samples": evaluated["samples"],
    }


def _without_folders(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with only the last part of its paths."""
    named = {"corpus": "papers", "model": "id"}
    return {
        section: {
            key: Path(value).name if named.get(section) == key else value
            for key, value in table.items()
        }
        for section, table in config.items()
    }


def report(run: Path) -> None:
    """Write ``report.json``, then ``plots/*.png``, ``report.html`` and the adapter's model card.

    Raises ``DataError`` when an input is missing or damaged; then nothing is written.
    """
    if not (run / "adapter").is_dir():
        raise DataError(f"{run / 'adapter'} is missing", remedy=_remedy("train", run))
    write_json(run / "report.json", assemble(run))
    content = read_json(run / "report.json")
    pictures = plots.render(content, _read(run, "metrics.jsonl"), _read(run, "documents.jsonl"))
    for name, picture in pictures.items():
        with atomic(run / "plots" / name) as file:
            file.write(picture)
    write_text(run / "report.html", render.html(content, pictures))
    write_text(run / "adapter" / "README.md", render.card(content))
