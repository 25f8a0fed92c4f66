"""Tell what each block of a paper is, by its look and place: text, heading, caption, table, note …."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paperlora.pipeline.parse import headings
from paperlora.pipeline.parse.blocks import CAPTION, NOTICE, is_numeric, is_prose, is_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperlora.pipeline.parse.blocks import Block, Look

_LEADERS = re.compile(r"(?:\.\s?){4,}\s*\d*$|(?:\s\.){3,}")
_CONTENTS_LINE = re.compile(r"(?:[\dA-Z]+(?:\.\d+)*\.?\s+)?\S.*\s\d{1,4}")
_REFERENCE = re.compile(
    r"\[[\w+., ]{1,12}\]\s*\S|\d{1,3}\.\s+[A-Z]|\(\d{1,3}\)\s+[A-Z]"
    r"|[^\W\d_a-z][\w'’-]+, (?:[A-Z]\.[ -]?){1,4}(?:,|\(|and|&)"  # by author and year
)
_KEYWORDS = re.compile(r"key ?words|index terms|ccs concepts", re.IGNORECASE)
_NOTICE_LINES = 8
_YEAR = re.compile(r"\b(?:1[89]|20)\d\d[a-z]?\b")


def assign(pages: Sequence[Sequence[Block]], look: Look) -> None:
    """Set the role of each block that is not front matter."""
    for blocks in pages:
        for block in blocks:
            if block.role != "front":
                block.role = _role(block, look)
        _mark_notes(blocks, look)
        _spread_floats(blocks, look)
    _mark_headings(pages, look)
    _mark_contents(pages)
    _mark_references(pages)


def _role(block: Block, look: Look) -> str:
    first = block.lines[0]
    caption = CAPTION.match(first.text)
    if caption and (
        caption["end"] is not None or block.size < 0.96 * look.size or first.pieces[0].font.bold
    ):
        return "caption"
    if first.formula:
        return "formula"
    if len(block.lines) <= _NOTICE_LINES and NOTICE.search(first.text):
        return "note"
    if is_table(block) or is_numeric(block):
        return "table"
    if is_prose(block):
        return "text"
    small = block.size < 0.94 * look.size
    foreign = block.family not in look.families and not first.bold
    return "figure" if small or foreign else "text"


def _mark_notes(blocks: Sequence[Block], look: Look) -> None:
    """Mark the footnotes: smaller text below everything else in its column."""
    top = max((block.lines[0].y for block in blocks), default=0.0)
    for index, block in enumerate(blocks):
        line = block.lines[0]
        small = block.size <= 0.94 * look.size and line.y < 0.6 * top
        if block.role not in {"text", "figure"} or not small:
            continue
        lower = [
            other
            for other in blocks
            if other.role in {"text", "formula", "table"}
            and other.size > 0.94 * look.size
            and other.lines[0].x0 < line.column[1]
            and other.lines[0].x1 > line.column[0]
            and other.lines[0].y < line.y
        ]
        above = [other for other in blocks[:index] if other.size > 0.94 * look.size]
        if not lower and above and (len(block.lines) < 25):
            block.role = "note"


def _spread_floats(blocks: Sequence[Block], look: Look) -> None:
    """Mark what stands between a caption and the text as part of its table or figure."""
    for index, block in enumerate(blocks):
        if block.role not in {"caption", "table", "figure"}:
            continue
        for step in (1, -1):
            place = index + step
            while 0 <= place < len(blocks):
                other = blocks[place]
                beyond = blocks[place + step] if 0 <= place + step < len(blocks) else None
                if not _is_scrap(other, beyond, block, look):
                    break
                other.role = "figure" if block.role == "caption" else block.role
                place += step


def _is_scrap(block: Block, beyond: Block | None, float_: Block, look: Look) -> bool:
    """Return whether a block beside a table, figure or caption belongs to it: no sentence, set in or small.

    A formula does too, unless text follows it as near as it stands around a displayed formula.
    """
    first = block.lines[0]
    if first.column != float_.lines[0].column or is_prose(block):
        return False
    if block.role == "formula":
        text = beyond is not None and beyond.role == "text" and not _is_set_in(beyond, look)
        return beyond is None or not text or _distance(block, beyond) > 2.6 * look.size
    return block.role == "text" and _is_set_in(block, look)


def _is_set_in(block: Block, look: Look) -> bool:
    first = block.lines[0]
    small = block.size < 0.94 * look.size
    return not is_prose(block) and (small or first.x0 > first.column[0] + 1.5 * first.size)


def _distance(one: Block, other: Block) -> float:
    """Return the distance of the nearest baselines of two blocks of a page."""
    upper, lower = sorted((one, other), key=lambda block: -block.lines[0].y)
    if one.lines[0].column != other.lines[0].column:
        return 1e9
    return max(upper.lines[-1].y - lower.lines[0].y, 0.0)


def _mark_headings(pages: Sequence[Sequence[Block]], look: Look) -> None:
    numbers = headings.Numbers()
    flat = [block for blocks in pages for block in blocks]
    for index, block in enumerate(flat):
        if block.role not in {"text", "figure"}:
            continue
        before = flat[index - 1] if index else None
        after = next(
            (one for one in flat[index + 1 : index + 15] if one.role in {"text", "formula"}), None
        )
        found = headings.of_block(block, before, after, look, numbers)
        if found:
            block.role, block.level = "heading", found
        if found and _KEYWORDS.match(found):
            block.role = "note"
            if after is not None and not is_prose(after):
                after.role = "note"


def _mark_contents(pages: Sequence[Sequence[Block]]) -> None:
    """Mark tables of contents: lines that end in dots and a page number, and what stands among them."""
    for blocks in pages:
        lines = [line for block in blocks for line in block.lines]
        dotted = sum(bool(_LEADERS.search(line.text)) for line in lines)
        named = any(
            block.role == "heading" and block.level.casefold() in {"contents", "table of contents"}
            for block in blocks
        )
        if dotted < 4 and not named:
            continue
        inside = False
        for block in blocks:
            if block.role == "heading" and block.level.casefold() in {
                "contents", "table of contents",
            }:  # fmt: skip
                inside = True
                block.role = "contents"
            elif any(_LEADERS.search(line.text) for line in block.lines) or (
                inside and all(_CONTENTS_LINE.fullmatch(line.text) for line in block.lines)
            ):
                block.role = "contents"
            elif inside and block.role == "heading" and block is not blocks[-1]:
                block.role = "contents" if _CONTENTS_LINE.fullmatch(block.text) else "heading"


def _mark_references(pages: Sequence[Sequence[Block]]) -> None:
    """Mark the entries of a list of references: after its heading, or by their form."""
    flat = [block for blocks in pages for block in blocks]
    inside = False
    for block in flat:
        if block.role == "heading":
            inside = headings.is_references(block.level)
            if inside:
                block.role = "reference"
        elif inside and block.role in {"text", "figure", "note", "formula", "table"}:
            block.role = "reference"
    if any(block.role == "reference" for block in flat):
        return
    for start, end in _entries(flat):
        for block in flat[start:end]:
            if block.role in {"text", "figure", "note"}:
                block.role = "reference"


def _entries(flat: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """Yield ranges of blocks that are entries of a list: numbers that count up, most with a year."""
    begin = None
    for index, block in enumerate([*flat, None]):
        good = block is not None and block.role in {"text", "figure", "note"} and _is_entries(block)
        if good and begin is None:
            begin = index
        elif not good and begin is not None:
            text = " ".join(block.text for block in flat[begin:index])
            if len(_YEAR.findall(text)) >= 4:
                yield begin, index
            begin = None


def _is_entries(block: Block) -> bool:
    starts = [line for line in block.lines if _REFERENCE.match(line.text)]
    years = sum(bool(_YEAR.search(line.text)) for line in block.lines)
    return len(starts) >= max(1, len(block.lines) // 5) and years >= max(1, len(starts) // 2)
