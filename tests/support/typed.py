"""Papers of a page or two, set line by line at exact places, to show one thing to the reader each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pages
from pages import Sheet, Style

from paperlora.pipeline.parse import quality, reader

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from paperlora.pipeline.parse.reader import Paper

ROMAN = Style()
BOLD = Style(font="Times-Bold")
ITALIC = Style(font="Times-Italic")
TITLE = Style(font="Times-Bold", size=17)
HEADING = Style(font="Times-Bold", size=12)
SMALL = Style(size=8)
WORDS = [
    "the",
    "river",
    "carries",
    "cold",
    "water",
    "from",
    "the",
    "hills",
    "in",
    "spring",
    "and",
    "the",
    "level",
    "of",
    "the",
    "lake",
    "rises",
    "slowly",
    "until",
    "the",
    "end",
    "of",
    "summer",
    "when",
    "most",
    "of",
    "the",
    "snow",
    "is",
    "gone",
    "and",
    "the",
    "gauges",
    "at",
    "the",
    "bridge",
    "show",
    "it",
]


def prose(count: int, start: int = 0, width: int = 12) -> list[str]:
    """Return sentences of ``width`` words, one a line, no two of them alike."""
    lines = []
    for number in range(start, start + count):
        words = [WORDS[(number * 5 + place * 3) % len(WORDS)] for place in range(width - 2)]
        lines.append(f"Case {number} {' '.join(words)}.")
    return lines


class Column:
    """Lines one under the other."""

    def __init__(self, sheet: Sheet, *, x: float = 70, y: float = 770) -> None:
        """Begin at a place, in points from the lower left corner."""
        self.sheet, self.x, self.y = sheet, x, y

    def add(self, *lines: str, style: Style = ROMAN, skip: float = 0, indent: float = 0) -> Column:
        """Set lines, with ``skip`` points above the first one."""
        self.y -= skip
        for line in lines:
            self.sheet.text(self.x + indent, self.y, line, style)
            self.y -= 1.2 * style.size
        return self

    def head(self, title: str = "A Study of Rivers", *, abstract: bool = True) -> Column:
        """Set a title and the heading of the abstract with some sentences."""
        self.add(title, style=TITLE)
        if abstract:
            self.add("Abstract", style=HEADING, skip=16)
            self.add(*prose(4, 900), skip=4)
        return self

    def heading(self, text: str, style: Style = HEADING) -> Column:
        """Set a heading with space around it."""
        self.add(text, style=style, skip=12)
        self.y -= 4
        return self


def read(folder: Path, sheets: Iterable[Sheet], *, title: str = "") -> Paper:
    """Write the pages as a PDF and read it."""
    path = folder / "paper.pdf"
    path.write_bytes(pages.pdf(list(sheets), title=title))
    return reader.read(path, quality.word_list())


def text(paper: Paper) -> str:
    """Return all paragraphs, one a line."""
    return "\n".join(paragraph["text"] for paragraph in paper.paragraphs)


def roles(paper: Paper, role: str) -> list[str]:
    """Return the texts that were set aside for one reason."""
    return [part["text"] for part in paper.aside if part["role"] == role]
