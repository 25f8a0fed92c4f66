"""Read a paper as the source paper did: PyPDF2's text, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperlora.pipeline.parse import joining
from paperlora.pipeline.parse.reader import NEEDS_PASSWORD, Paper
from paperlora.pipeline.parse.rejected import RejectedError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path


def read(path: Path, known: AbstractSet[str]) -> Paper:
    """Return each page of the PDF at ``path`` as one paragraph; ``known`` holds lower-case words.

    Raises ``RejectedError`` when the file needs a password.
    """
    from PyPDF2 import PdfReader  # noqa: PLC0415 - only who asks for it pays

    reader = PdfReader(path)
    # Many papers have an empty user password, which every reader tries first.
    if reader.is_encrypted and not reader.decrypt(""):
        raise RejectedError(NEEDS_PASSWORD)
    title = reader.metadata.title if reader.metadata else ""
    pages = [page.extract_text() for page in reader.pages]
    lines = [[joining.tidy(line) for line in _plain(page).split("\n")] for page in pages]
    counts = joining.count_words(line for page in lines for line in page)
    return Paper(
        title=joining.tidy(title) if isinstance(title, str) else "",
        authors=[],
        first_page=" ".join(lines[0]) if lines else "",
        headings=[],
        paragraphs=[
            {"page": number, "section": "", "text": joining.join(page, known, counts)}
            for number, page in enumerate(lines, start=1)
            if any(page)
        ],
        aside=[],
        page_count=len(pages),
        bad_pages=[],
        characters=sum(len("".join(page.split())) for page in pages),
        unknown=0,
        counts={},
    )


def _plain(text: str) -> str:
    """Return ``text`` with spaces for control characters and for halves of surrogate pairs."""
    return "".join(
        c if c == "\n" or (c >= " " and not "\ud800" <= c <= "\udfff") else " " for c in text
    )
