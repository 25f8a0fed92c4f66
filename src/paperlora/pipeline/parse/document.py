"""Turn one PDF into one document (extract, clean, cut into paragraphs, measure), or reject it.

PyPDF2 reads first. Where it fails or its text is poor, PDFium reads the paper too, and the better
text is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paperlora.pipeline.parse import clean, structure
from paperlora.pipeline.parse.extract import EXTRACTORS, NEEDS_PASSWORD, extract
from paperlora.pipeline.parse.quality import Quality, measure, word_list
from paperlora.pipeline.parse.rejected import RejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from paperlora.pipeline.config import CorpusConfig

_HEADER_BYTES = 1024  # readers accept "%PDF-" anywhere in the first 1024 bytes
_MIN_WORDS = 50  # a file with fewer is a scan or a cover sheet
# Measured on 18 papers, after cleaning. PDFium: no glued or torn words; 0.90 to 0.99 are known.
# PyPDF2: where the text reads well, 0 to 0.0009 of the words are glued or torn; elsewhere from 0.001
# (one lost line) to 0.053. 0.93 to 0.98 are known, with two exceptions (0.85 and 0.90).
_GOOD_SHARE = 0.92
_GOOD_DAMAGE = 0.001
_READABLE_SHARE = 0.6
_COMPLETE = 0.9  # a text with fewer sound words than this share of the best one is not complete
_BAD_TITLE = re.compile(
    r"microsoft word|untitled|\.(?:dvi|tex|pdf|docx?|indd|qxd)\b|^arxiv", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Text:
    """The cleaned text of one extractor, with its measure."""

    extractor: str
    title: str
    page_count: int
    paragraphs: list[dict[str, Any]]
    """Each has ``page`` (from 1), ``section`` and ``text``."""
    quality: Quality


def read_document(
    path: Path,
    *,
    sha256: str,
    entry: Mapping[str, Any],
    config: CorpusConfig,  # noqa: ARG001 - the limits are set in ``child``
) -> dict[str, Any]:
    """Return the document (one row of ``documents.jsonl``) of the PDF at ``path``.

    ``sha256`` is the file's hash, ``entry`` its entry in the list of papers (or empty).
    Raises ``RejectedError``.
    """
    check_header(path)
    texts = read_texts(path)
    sound = {name: text.quality.share * text.quality.words for name, text in texts.items()}
    enough = _COMPLETE * max(sound.values())
    # Complete texts first, then the share of sound words; of equal ones, max returns PyPDF2's.
    text = max(
        texts.values(),
        key=lambda text: (
            sound[text.extractor] >= enough,
            text.quality.share - text.quality.damage,
        ),
    )
    words = sum(len(paragraph["text"].split()) for paragraph in text.paragraphs)
    if words < _MIN_WORDS:
        raise RejectedError(
            f"only {words} words of prose on {text.page_count} pages (a scan? OCR it first)"
        )
    if text.quality.share < _READABLE_SHARE:
        raise RejectedError(
            f"not readable English: {text.quality.share:.0%} of its words are known"
        )
    shares = {name: texts[name].quality.share if name in texts else None for name in EXTRACTORS}
    return {
        "paper": path.stem,
        "file": path.name,
        "sha256": sha256,
        "title": entry.get("title") or text.title or path.stem,
        "field": entry.get("field") or "",
        "extractor": text.extractor,
        "quality": {**shares, "glued": text.quality.glued, "torn": text.quality.torn},
        "words": words,
        "page_count": text.page_count,
        "paragraphs": text.paragraphs,
    }


def check_header(path: Path) -> None:
    """Raise ``RejectedError`` for a file that is not a PDF."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if not head:
        raise RejectedError("the file is empty")
    if b"%PDF-" in head:
        return
    html = head.lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head"))
    raise RejectedError(
        "HTML, not a PDF (a web page was saved)" if html else f"not a PDF: begins {head[:8]!r}"
    )


def read_texts(path: Path) -> dict[str, Text]:
    """Return extractor → text: from PyPDF2 and, unless its text is good, from PDFium.

    Raises ``RejectedError`` when neither can read the paper.
    """
    texts: dict[str, Text] = {}
    faults: dict[str, str] = {}
    for extractor in EXTRACTORS:
        try:
            pages, title = extract(path, extractor)
        except RejectedError as fault:
            faults[extractor] = str(fault)
            continue
        texts[extractor] = to_text(extractor, pages, title)
        quality = texts[extractor].quality
        if quality.share >= _GOOD_SHARE and quality.damage < _GOOD_DAMAGE:
            break
    if not texts:
        if NEEDS_PASSWORD in faults.values():  # the clearer reason, where the other one differs
            raise RejectedError(NEEDS_PASSWORD)
        same = len(set(faults.values())) == 1
        raise RejectedError(faults["pdfium"] if same else "; ".join(map(": ".join, faults.items())))
    return texts


def to_text(extractor: str, pages: list[str], metadata_title: str) -> Text:
    """Return the cleaned and measured text of ``pages``."""
    known = word_list()
    lines = clean.lines_of(pages, known)
    counts = clean.count_words(lines)
    paragraphs = [
        {
            "page": paragraph.lines[0].page,
            "section": paragraph.section,
            "text": clean.join((line.text for line in paragraph.lines), known, counts),
        }
        for paragraph in structure.paragraphs(structure.body(lines))
    ]
    # Measured on what is kept, because references and formulas are full of unknown words.
    return Text(
        extractor=extractor,
        title=sane_title(metadata_title) or structure.first_title(lines),
        page_count=len(pages),
        paragraphs=paragraphs,
        quality=measure("\n".join(str(paragraph["text"]) for paragraph in paragraphs), known),
    )


def sane_title(title: str) -> str:
    """Return the title in the PDF's metadata, or "" when it is a file name or a program's name."""
    title = " ".join(title.split())
    letters = sum(character.isalpha() for character in title)
    good = (
        " " in title
        and title.isprintable()
        and letters > 0.6 * len(title)
        and not _BAD_TITLE.search(title)
    )
    return title if good else ""
