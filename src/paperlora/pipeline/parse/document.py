"""Turn one PDF into one document: read it, measure it, or reject it with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperlora.pipeline.parse import quality, reader
from paperlora.pipeline.parse.rejected import RejectedError
from paperlora.pipeline.text import STOP_WORDS, words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from paperlora.pipeline.config import CorpusConfig
    from paperlora.pipeline.parse.reader import Paper

_HEADER_BYTES = 1024  # readers accept "%PDF-" anywhere in the first 1024 bytes
_MIN_WORDS = 50  # a file with fewer is a scan or a cover sheet
_READABLE_SHARE = 0.6
_SAME_TITLE = 0.5  # of the words of a listed title must be on page one, in its title or near it
_OCR = "if it is a scan, add a text layer by OCR, for example with `ocrmypdf IN.pdf OUT.pdf`"


def read_document(
    path: Path, *, sha256: str, entry: Mapping[str, Any], config: CorpusConfig
) -> dict[str, Any]:
    """Return the document (one row of ``documents.jsonl``) of the PDF at ``path``.

    ``sha256`` is the file's hash, ``entry`` its entry in the list of papers (or empty).
    Raises ``RejectedError``.
    """
    check_header(path)
    known = quality.word_list()
    if config.extractor == "pypdf2":
        from paperlora.pipeline.parse import pypdf2  # noqa: PLC0415 - only who asks for it pays

        paper = pypdf2.read(path, known)
    else:
        paper = reader.read(path, known)
    count = sum(len(paragraph["text"].split()) for paragraph in paper.paragraphs)
    if count < _MIN_WORDS:
        raise RejectedError(f"only {count} words of prose on {paper.page_count} pages → {_OCR}")
    measured = quality.measure(paper, known)
    if measured["known"] < _READABLE_SHARE:
        raise RejectedError(
            f"not readable English: {measured['known']:.0%} of its words are known → {_OCR}"
        )
    _check_title(paper, entry.get("title") or "")
    return {
        "paper": path.stem,
        "file": path.name,
        "sha256": sha256,
        "title": entry.get("title") or paper.title or path.stem,
        "authors": entry.get("authors") or paper.authors,
        "field": entry.get("field") or "",
        "extractor": config.extractor,
        "quality": measured,
        "words": count,
        "page_count": paper.page_count,
        "headings": paper.headings,
        "paragraphs": paper.paragraphs,
        "aside": paper.aside,
        "bad_pages": paper.bad_pages,
    }


def check_header(path: Path) -> None:
    """Raise ``RejectedError`` for a file that is not a PDF."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if not head:
        raise RejectedError("the file is empty → download it again")
    if b"%PDF-" in head:
        return
    html = head.lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head"))
    raise RejectedError(
        "HTML, not a PDF: a web page was saved → download the PDF itself"
        if html
        else f"not a PDF: it begins {head[:8]!r} → remove it, or download it again"
    )


def _check_title(paper: Paper, listed: str) -> None:
    """Raise ``RejectedError`` when page one shows another title than the list of papers has."""
    letters = "".join(c for c in paper.first_page.casefold() if c.isalnum())
    wanted = [word for word in words(listed) if word not in STOP_WORDS]
    if not wanted or "".join(c for c in listed.casefold() if c.isalnum()) in letters:
        return
    printed = set(words(paper.title or paper.first_page))
    if sum(word in printed for word in wanted) < _SAME_TITLE * len(wanted):
        seems = paper.title or paper.first_page[:80]
        raise RejectedError(
            f"another paper: the list has {listed!r}, but this seems to be {seems!r} → download it "
            "again, or correct the list"
        )
