"""The files that each command reads, by their digests: a command runs again when one changes.

None stands for what cannot be read at the moment.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paperlora.errors import InputError
from paperlora.files import ROOT, sha256_file
from paperlora.pipeline.model import store

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperlora.pipeline.config import RunConfig

PAPERS_LIST = ROOT / "lockfiles" / "papers.json"
SHIPPED_PAPERS = ROOT / "src" / "paperlora" / "papers"
ADAPTER = ("adapter/adapter_model.safetensors", "adapter/adapter_config.json")


def papers_folder(config: RunConfig) -> Path:
    """Return the folder of PDFs that a run reads."""
    papers = config.corpus.papers
    return SHIPPED_PAPERS if papers == "shipped" else Path(papers)


def listed(config: RunConfig) -> list[dict[str, Any]]:
    """Return what the list of papers has for each paper: title, field, hash.

    Raises ``InputError`` when the list is damaged.
    """
    from paperlora.pipeline.fetch import paper_list  # noqa: PLC0415 - only the command that runs pays

    folder = papers_folder(config)
    listing = PAPERS_LIST if folder == SHIPPED_PAPERS else folder / paper_list.LIST_NAME
    return [asdict(paper) for paper in paper_list.read(listing)] if listing.is_file() else []


def _digests(folder: Path, *names: str) -> dict[str, str | None]:
    """Return name → SHA-256 of files; None for one that cannot be read: its reader says why."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = sha256_file(folder / name)
        except OSError:
            found[name] = None
    return found


def _parse(_: Path, config: RunConfig) -> dict[str, Any]:
    from paperlora.pipeline.parse import parse  # noqa: PLC0415

    try:
        names = [pdf.name for pdf in parse.list_papers(papers_folder(config))]
        return {"papers": _digests(papers_folder(config), *names), "list": listed(config)}
    except (InputError, OSError):
        return {"papers": None, "list": None}  # `parse` says what is wrong


def _model(config: RunConfig) -> dict[str, Any] | None:
    try:
        return store.pin(config.model.id)
    except (InputError, OSError):
        return None  # `train` says what is wrong


def _dataset(run: Path, _: RunConfig) -> dict[str, Any]:
    return {"documents": _digests(run, "documents.jsonl")}


def _train(run: Path, config: RunConfig) -> dict[str, Any]:
    data = _digests(run, "dataset/train.jsonl", "dataset/validation.jsonl")
    return {"model": _model(config), "data": data}


def _eval(run: Path, config: RunConfig) -> dict[str, Any]:
    data = _digests(run, *(f"dataset/{split}.jsonl" for split in ("train", "validation", "test")))
    return {"model": _model(config), "data": data, "adapter": _digests(run, *ADAPTER)}


def _report(run: Path, _: RunConfig) -> dict[str, Any]:
    from paperlora.pipeline.report import report  # noqa: PLC0415

    results = _digests(run, *report.INPUTS, report.NOTES)
    return {"results": results, "place": report.run_argument(run)}


OF: dict[str, Callable[[Path, RunConfig], dict[str, Any]]] = {
    "parse": _parse,
    "dataset": _dataset,
    "train": _train,
    "eval": _eval,
    "report": _report,
}
"""Command → the function that returns its inputs, from the run's folder and its configuration."""
