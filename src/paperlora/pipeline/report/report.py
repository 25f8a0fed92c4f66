"""The ``report`` command: one JSON file that holds the whole run, then pictures and pages of it.

``report.json`` comes first and everything else is rendered from it (and from ``metrics.jsonl`` and
``documents.jsonl``); nothing is ever read back from a picture or a page. The same inputs give the
same bytes.
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

from paperlora.errors import DataError
from paperlora.files import atomic, read_json, read_jsonl, sha256_json, write_json, write_text
from paperlora.pipeline.dataset.dataset import SPLITS
from paperlora.pipeline.report import card, page
from paperlora.pipeline.report.plots import plots

SCHEMA = 1
PAPER = (
    *("paper", "file", "sha256", "title", "field"),
    *("extractor", "quality", "words", "page_count"),
)
"""What the report keeps of a line of ``documents.jsonl``."""

INPUTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "config.toml": ("train", ()),
    "environment.json": (
        "train",
        (
            *("target", "fingerprint", "lock_digest", "python", "platform"),
            *("packages", "findings", "verified", "observed"),
        ),
    ),
    "documents.jsonl": ("parse", (*PAPER, "paragraphs")),
    "parse.json": ("parse", ("rejected",)),
    "dataset/dataset.json": ("dataset", ("digest", "papers", "examples")),
    "metrics.jsonl": ("train", ("step", "split", "memory")),
    "train.json": ("train", ("model", "adapter", "train")),
    "eval.json": ("eval", ("metric", "base", "tuned", "controls", "generalisation_gap", "samples")),
}
"""What a report is made of: file → the command that writes it, the keys its objects must have."""


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON or TOML value
    """Return ``value`` as strict JSON has it.

    NaN and the infinities become null, dates become text, half surrogate pairs question marks.
    """
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    # half of a surrogate pair, as a damaged PDF can give it, cannot be written as UTF-8
    return str(value).encode(errors="replace").decode()


def _remedy(command: str, run: Path) -> str:
    return f"run `env/nox -s {command} -- --run {run}` first"


def _read(run: Path, name: str) -> Any:  # noqa: ANN401 - JSON is whatever its writer says it is
    """Read one input of the report, with no NaN left in it.

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
        absent = [key for key in keys if not isinstance(item, dict) or key not in item]
        if absent:
            raise DataError(f"{path} lacks {', '.join(absent)}", remedy=remedy)
    return content


def _corpus(
    documents: list[dict[str, Any]], rejected: list[dict[str, str]], papers: dict[str, list[str]]
) -> dict[str, Any]:
    """Describe the papers: what each gave, how it was read, and the split it went to."""
    split_of = {paper: split for split in SPLITS for paper in papers.get(split, [])}
    return {
        "papers": len(documents),
        "digest": sha256_json({item["paper"]: item["sha256"] for item in documents}),
        "words": {item["paper"]: item["words"] for item in documents},
        "extractors": {item["paper"]: item["extractor"] for item in documents},
        "documents": [
            {key: item[key] for key in PAPER} | {"split": split_of.get(item["paper"])}
            for item in documents
        ],
        "rejected": rejected,
    }


def assemble(run: Path) -> dict[str, Any]:
    """Return the report on ``run``: schema 1, finite numbers only, ready for JSON.

    What differs between two runs of one seed stands in ``train.seconds``,
    ``train.tokens_per_second``, ``train.peak_memory`` and ``environment.observed`` alone. Raises
    ``DataError`` when an input is missing or damaged, naming the command that writes it.
    """
    inputs = {name: _read(run, name) for name in INPUTS}
    dataset, trained, evaluated = (
        inputs[name] for name in ("dataset/dataset.json", "train.json", "eval.json")
    )
    return {
        "schema": SCHEMA,
        "run": run.resolve().name,
        "config": _without_folders(inputs["config.toml"]),
        "environment": inputs["environment.json"],
        "model": trained["model"],
        "adapter": trained["adapter"],
        "corpus": _corpus(
            inputs["documents.jsonl"], inputs["parse.json"]["rejected"], dataset["papers"]
        ),
        "dataset": dataset,
        "train": trained["train"],
        "eval": {key: value for key, value in evaluated.items() if key != "samples"},
        "samples": evaluated["samples"],
    }


def _without_folders(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with the last part of its paths only: a report may be handed on."""
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
    write_text(run / "report.html", page.render(content, pictures))
    write_text(run / "adapter" / "README.md", card.render(content))
