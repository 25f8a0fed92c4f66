"""Read a paper as the source paper did: PyPDF2's text, page by page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from PyPDF2 import PdfReader

from paperlora.pipeline.parse import joining
from paperlora.pipeline.parse.reader import NEEDS_PASSWORD, Paper
from paperlora.pipeline.parse.rejected import RejectedError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

# PyPDF2 prints the names of glyphs that have no Unicode value. The names in TeX's extension font
# have suffixes, so they are not English words ("summationdisplay"). Other names are words ("minus"):
# they count as glyph names only after a slash.
_GLYPH = re.compile(
    r"/?(?:paren|bracket|brace|floor|ceiling|angbracket)(?:left|right)(?:big|Big|bt|tp|mid|ex)*g*"
    r"|/?(?:summation|product|integral|contintegral|union|intersection|logicaland|logicalor"
    r"|coproduct|circle(?:multiply|plus|dot))(?:display|text)"
    r"|/?(?:radical|slash|backslash)(?:big|Big)g*|/?(?:hat|tilde|check)wid(?:est|er|e)"
    r"|/?(?:vextend|arrow(?:vert|dbl))(?:single|double|bt|tp|ex)"
    r"|(?<![\w./])/(?:arrow|asterisk|infinity|element|minus|equal|plus|bar|dot|period)[a-z]{0,20}"
    r"|(?<![\w./])/[CGg]\d{1,3}\b|\(cid:\d+\)"
)
_UNICODE_GLYPH = re.compile(r"/uni([0-9A-F]{4})")


def read(path: Path, known: AbstractSet[str]) -> Paper:
    """Return each page of the PDF at ``path`` as one paragraph; ``known`` holds lower-case words.

    Raises ``RejectedError`` when the file needs a password.
    """
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
    """Return ``text`` with spaces for glyph names, control characters and halves of surrogate pairs."""
    text = _GLYPH.sub(" ", _UNICODE_GLYPH.sub(lambda match: chr(int(match[1], 16)), text))
    return "".join(
        c if c == "\n" or (c >= " " and not "\ud800" <= c <= "\udfff") else " " for c in text
    )
