"""Make paragraphs of the text of a paper: across columns, pages and floats, with formulas marked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paperlora.pipeline.parse import front
from paperlora.pipeline.text import FORMULA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paperlora.pipeline.parse.blocks import Block, Look
    from paperlora.pipeline.parse.lines import Line

_ENDED = re.compile(r"[.!?:][\"'”’)\]]*$")
_SIGN = re.compile(r"[•‣▪●○◦∙·–—*-]\s+(?=\S)")
_NUMBER = re.compile(r"\s*\(\s*[\w.]+\s*\)\s*$")
_BULLET = re.compile(
    rf"{_SIGN.pattern}|(?:\d{{1,2}}|[a-z]|[ivx]{{1,4}})[.)]\s+\S|\((?:\d{{1,2}}|[a-z]|[ivx]{{1,4}})\)\s*\S"
)


@dataclass(slots=True)
class Paragraph:
    """Lines of text that belong together."""

    page: int
    section: str
    lines: list[str] = field(default_factory=list)
    hang: float | None = None
    """Where the text of an item of a list begins, behind its sign or number."""


def of_paper(blocks: Iterable[Block], look: Look) -> list[Paragraph]:
    """Return the paragraphs of the text blocks of a paper, in order."""
    maker = _Maker(look)
    for block in blocks:
        if block.role == "heading":
            maker.section, maker.last, maker.abstract = block.level, None, True
        elif block.role == "formula":
            maker.add_formula(block.lines)
        elif block.role == "text":
            for line in block.lines:
                maker.add(line)
    return maker.found


class _Maker:
    """The paragraphs so far, and what decides where the next line goes."""

    def __init__(self, look: Look) -> None:
        self.found: list[Paragraph] = []
        self.section = ""
        self.last: Line | None = None
        """The last line of text; None under a heading."""
        self.abstract = False
        """Whether the abstract has begun, or another section."""
        self._look = look
        self._after_formula = False

    def add(self, line: Line) -> None:
        """Add a line of text to the last paragraph, or begin one with it."""
        text = line.text
        inline = None if self.abstract else front.inline_abstract(text)
        if inline:
            self.section, self.last, self.abstract = "Abstract", None, True
            text = text[inline.end() :]
        if not self.section and not self.abstract:
            self.section = "Abstract"
        if self.last is None or self._begins(self.last, line):
            hang = line.pieces[1].x0 if _BULLET.match(text) and len(line.pieces) > 1 else None
            self.found.append(Paragraph(line.page, self.section, hang=hang))
            text = _SIGN.sub("", text, count=1) if _SIGN.match(text) else text
        self.found[-1].lines.append(text)
        self.last, self._after_formula = line, False

    def add_formula(self, lines: Sequence[Line]) -> None:
        """Put a mark for a displayed formula at the end of the text so far."""
        broken = self.last is not None and self.last.text.endswith("-")
        if not _is_whole(lines) or broken:
            return
        if self.last is None:  # directly under a heading
            self.found.append(Paragraph(lines[0].page, self.section))
            self.last = lines[-1]
        _mark(self.found[-1], lines)
        self._after_formula = True

    def _begins(self, last: Line, line: Line) -> bool:
        """Return whether ``line`` begins a paragraph after ``last``."""
        size = line.size
        indent = line.x0 - line.column[0]
        indented = 0.7 * size < indent < 4 * size
        ended = bool(_ENDED.search(last.text))
        if self._after_formula:
            return indented and line.text[:1].isupper()
        short = last.x1 < last.column[1] - 3 * last.size
        hang = self.found[-1].hang
        outside = hang is not None and line.x0 < hang - 0.3 * size and line.text[:1].isupper()
        if (outside or _BULLET.match(line.text)) and (ended or short):
            return True
        if not (last.page == line.page and last.column == line.column and last.y > line.y):
            return ended and indented
        further = line.x0 - last.x0 > 0.7 * size and indent > 0.7 * size and hang is None
        return _parted(last, line, self._look, ended=ended) or (ended and further)


def _parted(last: Line, line: Line, look: Look, *, ended: bool) -> bool:
    """Return whether the space between two lines is that between paragraphs."""
    gap = (last.y - line.y) / (look.leading * line.size)
    capital = line.text[:1].isupper()
    if gap > 1.35:
        return ended or (capital and gap * look.leading < 4)
    return gap > 1.2 and ended and capital


def _is_whole(lines: Sequence[Line]) -> bool:
    """Return whether lines are a formula and not a lone sign, such as the mark of a note."""
    text = "".join(line.text for line in lines).replace(" ", "")
    return len(text) > 4


def _mark(paragraph: Paragraph, lines: Sequence[Line]) -> None:
    """Put one mark for the formula at the paragraph's end, with the sign that ends the formula."""
    low = min(line.y for line in lines)
    last = max((line for line in lines if line.y - low < 0.9 * line.size), key=lambda one: one.x1)
    text = _NUMBER.sub("", last.text)
    sign = text[-1:] if text[-1:] in {".", ",", ";"} else ""
    if paragraph.lines and paragraph.lines[-1].startswith(FORMULA):
        paragraph.lines[-1] = FORMULA + (sign or paragraph.lines[-1].removeprefix(FORMULA))
    else:
        paragraph.lines.append(FORMULA + sign)
