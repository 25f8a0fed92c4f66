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
_BULLET = re.compile(
    r"(?:[•‣▪●○◦∙·–—*-]|(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)])\s+\S|\((?:\d{1,2}|[a-z]|[ivx]{1,4})\)\s*\S"
)


@dataclass(slots=True)
class Paragraph:
    """Lines of text that belong together."""

    page: int
    section: str
    lines: list[str] = field(default_factory=list)


def of_paper(blocks: Iterable[Block], look: Look) -> list[Paragraph]:
    """Return the paragraphs of the text blocks of a paper, in order."""
    found: list[Paragraph] = []
    section, last, abstract = "", None, False
    after_formula = False
    for block in blocks:
        if block.role == "heading":
            section, last, after_formula = block.level, None, False
            abstract = True
            continue
        if block.role == "formula":
            if not _is_whole(block.lines) or (last is not None and last.text[-1:] == "-"):
                continue
            if last is None:  # directly under a heading
                found.append(Paragraph(block.lines[0].page, section))
                last = block.lines[-1]
            if found:
                _mark(found[-1], block.lines)
                after_formula = True
            continue
        if block.role != "text":
            continue
        for line in block.lines:
            text = line.text
            inline = front.inline_abstract(text) if not abstract else None
            if inline:
                section, last, abstract = "Abstract", None, True
                text = text[inline.end() :]
            if not section and not abstract:
                section = "Abstract"
            listed = bool(found) and bool(_BULLET.match(found[-1].lines[0]))
            if last is None or _begins(
                last, line, look, after_formula=after_formula, listed=listed
            ):
                found.append(Paragraph(line.page, section))
            found[-1].lines.append(text)
            last, after_formula = line, False
    return found


def _is_whole(lines: Sequence[Line]) -> bool:
    """Return whether lines are a formula and not a lone sign, such as the mark of a note."""
    text = "".join(line.text for line in lines).replace(" ", "")
    return len(text) > 4


def _mark(paragraph: Paragraph, lines: Sequence[Line]) -> None:
    """Put one mark for the formula at the paragraph's end, with the sign that ends the formula."""
    texts = [re.sub(r"\s*\(?\s*[\w.]+\s*\)\s*$", "", line.text) if line.cells > 1 else line.text
             for line in lines]  # fmt: skip
    sign = next((text[-1] for text in reversed(texts) if text and text[-1] in ".,;"), "")
    if paragraph.lines and paragraph.lines[-1].startswith(FORMULA):
        old = paragraph.lines[-1].removeprefix(FORMULA)
        paragraph.lines[-1] = FORMULA + (sign or old)
    else:
        paragraph.lines.append(FORMULA + sign)


def _begins(last: Line, line: Line, look: Look, *, after_formula: bool, listed: bool) -> bool:
    """Return whether ``line`` begins a paragraph after ``last``."""
    size = line.size
    indent = line.x0 - line.column[0]
    ended = bool(_ENDED.search(last.text))
    short = last.x1 < last.column[1] - 3 * last.size
    if _BULLET.match(line.text) and (ended or short):
        return True
    same_column = last.page == line.page and last.column == line.column and last.y > line.y
    if after_formula:
        return 0.7 * size < indent < 4 * size and line.text[:1].isupper()
    if not same_column:
        return ended and 0.7 * size < indent < 4 * size
    gap = last.y - line.y
    if gap > 1.35 * look.leading * size and (ended or line.text[:1].isupper()):
        return gap < 4 * size or ended
    if gap > 1.2 * look.leading * size and ended and line.text[:1].isupper():
        return True
    moved = line.x0 - last.x0
    if listed and ended and moved < -0.7 * size:
        return True  # the text after a list
    return ended and moved > 0.7 * size and indent > 0.7 * size
