"""PDFs that are slow, large or damaged cost themselves only, and no more than their limits."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest
from hostile import hostile, mutated
from pdfs import paper, text_pdf

from paperlora.files import read_json, read_jsonl
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.inputs import SHIPPED_PAPERS
from paperlora.pipeline.parse import cache
from paperlora.pipeline.parse.parse import command

if TYPE_CHECKING:
    from pathlib import Path

QUICK = (
    "a scan",
    "a page number alone",
    "forms in forms",
    "a bomb of 1 GB",
    "a comment without end",
)


def parse(folder: Path, run: Path, files: dict[str, bytes], seconds: int) -> dict[str, str]:
    """Parse these files, and return file → reason for the rejected ones."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    command(folder, run, known=[], config=CorpusConfig(timeout_seconds=seconds))
    rows = read_json(run / "parse.json")["rejected"]
    return {row["file"]: row["reason"] for row in rows}


def check(tmp_path: Path, kinds: list[str], seconds: int) -> None:
    files = {f"{name}.pdf": data for name, data in hostile().items() if name in kinds}
    sound = {f"sound {n}.pdf": text_pdf(paper(n)) for n in (100, 101, 102)}
    began = time.monotonic()
    reasons = parse(tmp_path / "papers", tmp_path / "run", {**files, **sound}, seconds)
    assert time.monotonic() - began < len(files) * (seconds + 2) + 10
    documents = read_jsonl(tmp_path / "run" / "documents.jsonl")
    read = {row["file"] for row in documents}
    assert read | set(reasons) == {*files, *sound}
    assert set(sound) <= read
    assert all(row["paragraphs"] for row in documents)
    assert all(reasons.values())


def test_hostile_papers_are_bounded(tmp_path: Path) -> None:
    check(tmp_path, list(QUICK), seconds=3)


@pytest.mark.slow
def test_all_hostile_papers_are_bounded(tmp_path: Path) -> None:
    check(tmp_path, list(hostile()), seconds=10)


@pytest.mark.slow
def test_damaged_papers_are_read_or_rejected(tmp_path: Path) -> None:
    draw = random.Random(1)
    originals = [path.read_bytes() for path in sorted(SHIPPED_PAPERS.glob("*.pdf"))]
    files = {f"{n:03}.pdf": mutated(originals[n % len(originals)], draw) for n in range(120)}
    files["sound.pdf"] = text_pdf(paper(0))
    reasons = parse(tmp_path / "papers", tmp_path / "run", files, 10)
    assert "sound.pdf" not in reasons
    assert 10 < len(reasons) < 120
    documents = read_jsonl(tmp_path / "run" / "documents.jsonl")
    assert len(documents) + len(reasons) == 121
    stored = list((tmp_path / "run" / cache.FOLDER).iterdir())
    assert all(cache.load(tmp_path / "run", path.name) for path in stored)
