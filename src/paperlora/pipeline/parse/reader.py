"""Read a PDF into title, authors, sections, paragraphs and what was set aside, by its geometry."""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pypdfium2.raw as pdfium

from paperlora.pipeline.parse import (
    blocks,
    formulas,
    front,
    glyphs,
    joining,
    lines,
    margins,
    paragraphs,
    roles,
)
from paperlora.pipeline.parse.rejected import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from paperlora.pipeline.parse.blocks import Block, Look
    from paperlora.pipeline.parse.glyphs import Page
    from paperlora.pipeline.parse.lines import Line

NEEDS_PASSWORD = "encrypted: it needs a password → remove it, for example with `qpdf --decrypt`"  # noqa: S105 - a reason
_REPAIR = "download it again, or repair it, for example with `qpdf IN.pdf OUT.pdf`"
_FAULTS = {
    pdfium.FPDF_ERR_PASSWORD: NEEDS_PASSWORD,
    pdfium.FPDF_ERR_SECURITY: "encrypted in a way that PDFium does not know → save it without encryption",
    pdfium.FPDF_ERR_FORMAT: f"damaged: PDFium finds no PDF in it → {_REPAIR}",
    pdfium.FPDF_ERR_FILE: f"damaged: PDFium cannot open it → {_REPAIR}",
}


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What was read of a paper."""

    title: str
    authors: list[str]
    first_page: str
    """All text of page one."""
    headings: list[dict[str, Any]]
    """All headings in order, with their ``page`` and ``text``."""
    paragraphs: list[dict[str, Any]]
    """Each has ``page`` (from 1), ``section`` and ``text``."""
    aside: list[dict[str, Any]]
    """What is not prose: each has ``page``, ``role`` and ``text``."""
    page_count: int
    bad_pages: list[dict[str, Any]]
    """Pages that could not be read: each has ``page`` and ``reason``."""
    characters: int
    unknown: int
    counts: dict[str, int]
    """Characters that were left out: turned, drawn twice, too many on a page, numbers of lines."""


def read(path: Path, known: AbstractSet[str]) -> Paper:
    """Return what is in the PDF at ``path``; ``known`` is the list of lower-case words.

    Raises ``RejectedError`` when the file cannot be opened or most of its pages cannot be read.
    """
    with _opened(path) as document:
        count = pdfium.FPDF_GetPageCount(document)
        metadata = _title(document)
        pages: list[Page] = []
        numbers: list[int] = []
        bad: list[dict[str, Any]] = []
        for index in range(count):
            try:
                pages.append(glyphs.read_page(document, index))
                numbers.append(index + 1)
            except ValueError as error:
                bad.append({"page": index + 1, "reason": str(error)})
    if not count or len(bad) > count / 2:
        raise RejectedError(f"damaged: {len(bad)} of {count} pages cannot be read → {_REPAIR}")
    pieces, line_numbers = margins.without_line_numbers(pages)
    per_page = lines.paper_lines(zip(numbers, pieces, strict=True))
    return _paper(
        per_page,
        known,
        metadata=metadata,
        page_count=count,
        bad_pages=bad,
        characters=sum(page.characters for page in pages),
        unknown=sum(page.unknown for page in pages),
        counts={
            "turned": sum(page.turned for page in pages),
            "twice": sum(page.twice for page in pages),
            "beyond": sum(page.beyond for page in pages),
            "line_numbers": line_numbers,
        },
    )


def _paper(
    per_page: Sequence[Sequence[Line]],
    known: AbstractSet[str],
    *,
    metadata: str,
    **about: Any,  # noqa: ANN401 - fields of Paper
) -> Paper:
    look = blocks.look_of(per_page)
    running = margins.running(per_page, look.size)
    pages: list[list[Block]] = []
    aside: list[dict[str, Any]] = []
    for each in per_page:
        kept = formulas.mark([line for line in each if id(line) not in running], look.leading)
        aside += [_aside(line, "running", line.text) for line in each if id(line) in running]
        pages.append(blocks.blocks_of(kept, look))
    title, authors = _front(pages, look, metadata)
    roles.assign(pages, look)
    flat = [block for page in pages for block in page]
    found = paragraphs.of_paper(flat, look)
    counts = joining.count_words(
        line.text for block in flat if block.role == "text" for line in block.lines
    )
    aside += [
        _aside(
            block.lines[0],
            block.role,
            joining.join((line.text for line in block.lines), known, counts),
        )
        for block in flat
        if block.role not in {"text", "heading"}
    ]
    return Paper(
        title=joining.tidy(title),
        authors=[joining.tidy(name) for name in authors],
        first_page=" ".join(line.text for line in per_page[0]) if per_page else "",
        headings=[
            {"page": block.lines[0].page, "text": joining.tidy(block.level)}
            for block in flat
            if block.role == "heading"
        ],
        paragraphs=[
            {
                "page": one.page,
                "section": joining.tidy(one.section),
                "text": joining.join(map(joining.tidy, one.lines), known, counts),
            }
            for one in found
        ],
        aside=sorted(aside, key=lambda item: item["page"]),
        **about,
    )


def _front(pages: Sequence[list[Block]], look: Look, metadata: str) -> tuple[str, list[str]]:
    """Return title and authors from the first page that is not an archive's cover."""
    for page, following in zip(pages, [*pages[1:], None], strict=True):
        if following is None or not front.is_cover(page):
            return front.read(page, look, metadata)
        for block in page:
            block.role = "front"
    return "", []


def _aside(line: Line, role: str, text: str) -> dict[str, Any]:
    return {"page": line.page, "role": role, "text": joining.tidy(text)}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    data = path.read_bytes()
    document = pdfium.FPDF_LoadMemDocument64(data, len(data), None)
    if not document:
        error = pdfium.FPDF_GetLastError()
        raise RejectedError(_FAULTS.get(error, f"damaged: PDFium ends with error {error}"))
    try:
        yield document
    finally:
        pdfium.FPDF_CloseDocument(document)


def _title(document: Any) -> str:  # noqa: ANN401 - PDFium's handle
    buffer = ctypes.create_string_buffer(2048)
    size = pdfium.FPDF_GetMetaText(document, b"Title", buffer, len(buffer))
    return buffer.raw[: max(min(size, len(buffer)) - 2, 0)].decode("utf-16-le", errors="replace")
