"""Say of each line of a paper what it is, by its look and place: text, heading, caption, formula …"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paperlora.pipeline.parse import headings
from paperlora.pipeline.text import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperlora.pipeline.parse.lines import Line

_CAPTION = re.compile(
    r"(?:extended data |supplementary |supplemental )?"
    r"(?:fig(?:ure|s?\.)|table|tab\.|algorithm|listing|scheme|plate|box|chart)\s*"
    r"(?:[A-Z]{1,2}[.-]?)?(?:\d+|[IVX]+)(?:[.-]\d+)*[a-z]?\s*(?P<end>[.:|–—]|$)?",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_LEADERS = re.compile(r"(?:\.\s?){4,}\s*\d*$|(?:\s\.){3,}")
_CONTENTS_LINE = re.compile(r"(?:[\dA-Z]+(?:\.\d+)*\.?\s+)?\S.*\s\d{1,4}")
_NOTE_START = re.compile(r"(?:[*∗⋆†‡§¶‖]|\d{1,2}(?=[^\d.]))")
_REFERENCE = re.compile(r"\[[\w+., ]{1,12}\]\s*\S|\d{1,3}\.\s+[A-Z]|\(\d{1,3}\)\s+[A-Z]")
_YEAR = re.compile(r"\b(?:1[89]|20)\d\d[a-z]?\b")
_AUTHOR_YEAR = re.compile(r"[A-Z][\w'’-]+,? (?:[A-Z]\.|[A-Z][a-z]+)|[A-Z]\. ?[A-Z]?")


@dataclass(slots=True)
class Block:
    """Lines of one look, one under the other."""

    lines: list[Line]
    role: str = "text"
    """text, heading, caption, table, figure, note, reference, formula, front, contents, running."""
    level: str = ""
    """The text of a heading."""
    inline: list[bool] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The lines with spaces between them."""
        return " ".join(line.text for line in self.lines)

    @property
    def size(self) -> float:
        """The font size of its first line."""
        return self.lines[0].size


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the text of a paper looks in general."""

    size: float
    """The font size of most letters."""
    leading: float
    """The usual distance of two baselines, in units of the font size."""
    families: frozenset[str]
    """The font families of most letters of that size."""


def look_of(pages: Sequence[Sequence[Line]]) -> Look:
    """Return the usual look of a paper."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page:
            if line.cells == 1:
                sizes[round(line.size, 1)] += len(line.text)
    size = sizes.most_common(1)[0][0] if sizes else 10.0
    families: Counter[str] = Counter()
    gaps: Counter[float] = Counter()
    for page in pages:
        for before, line in zip(page, page[1:], strict=False):
            if abs(line.size - size) < 0.06 * size:
                for piece in line.pieces:
                    families[family(piece.font.name)] += len(piece.text)
                if before.column == line.column and 0 < before.y - line.y < 3 * size:
                    gaps[round((before.y - line.y) / size, 1)] += 1
    total = sum(families.values())
    return Look(
        size=size,
        leading=gaps.most_common(1)[0][0] if gaps else 1.2,
        families=frozenset(name for name, count in families.items() if count > 0.1 * total),
    )


def family(name: str) -> str:
    """Return a font's family: its name without style and size; all of Computer Modern is one."""
    plain = re.split(r"[-,]|\d", name)[0].casefold()
    return "cm" if re.match(r"(?:cm|sf|lm)[a-z]", plain) else plain


def blocks_of(lines: Sequence[Line], look: Look) -> list[Block]:
    """Return the lines of a page as blocks: one look, usual distance, one column."""
    blocks: list[Block] = []
    for line in lines:
        last = blocks[-1].lines[-1] if blocks else None
        if last is not None and _follows(last, line, look):
            blocks[-1].lines.append(line)
        else:
            blocks.append(Block([line]))
    return blocks


def _follows(last: Line, line: Line, look: Look) -> bool:
    gap = last.y - line.y
    size = max(last.size, line.size)
    if last.formula and line.formula:
        return last.column == line.column and 0 <= gap < 4 * size
    if last.formula or line.formula:
        return False
    return (
        last.column == line.column
        and 0 < gap <= 1.3 * look.leading * size
        and (abs(last.size - line.size) <= 0.07 * size or _runs_on(last, line, gap, look))
        and last.bold == line.bold
        and (last.italic == line.italic or line.page > 1)
        and not _is_named(last)
        and not _is_named(line)
        and not (_CAPTION.match(line.text) and gap > 1.1 * look.leading * size)
    )


def _is_named(line: Line) -> bool:
    """Return whether a line is a usual heading and nothing else, whatever its look."""
    left, right = line.column
    return (
        line.x1 - line.x0 < 0.6 * (right - left)
        and headings.is_usual(line.text.strip())
        and (line.text[:1].isupper() or line.text[:1].isdigit())
    )


def _runs_on(last: Line, line: Line, gap: float, look: Look) -> bool:
    """Return whether a line in another size is the rest of a full one, such as a web address."""
    left, right = line.column
    return (
        gap < 1.1 * look.leading * look.size
        and abs(last.size - line.size) <= 0.15 * last.size
        and last.x1 > right - 2 * last.size
        and abs(line.x0 - last.x0) < 0.3 * line.size
        and not last.text.endswith((".", ":"))
        and line.x0 < left + 2 * line.size
    )


def is_table(block: Block) -> bool:
    """Return whether a block is rows of cells."""
    rows = sum(line.cells > 1 for line in block.lines)
    many = sum(line.cells > 2 for line in block.lines)
    return rows > 0.5 * len(block.lines) and (many > 0 or len(block.lines) > 1)


def is_numeric(block: Block) -> bool:
    """Return whether a block is mostly numbers."""
    text = block.text.replace(" ", "")
    digits = sum(c.isdigit() for c in text)
    letters = sum(c.isalpha() for c in text)
    return digits > 5 and digits > 0.35 * len(text) and letters < 0.3 * len(text)


def is_prose(block: Block) -> bool:
    """Return whether a block reads as sentences: long lines, mostly letters."""
    text = block.text
    words = _LETTERS.findall(text)
    letters = sum(map(len, words))
    tokens = text.casefold().split()
    small = sum(token in STOP_WORDS for token in tokens)
    return (
        letters > 0.5 * len(text.replace(" ", "") or "x")
        and len(words) >= 5 * min(len(block.lines), 2)
        and len(tokens) / len(block.lines) >= 4
        and small >= 0.15 * len(tokens)
    )


def assign(pages: Sequence[Sequence[Block]], look: Look) -> None:
    """Set the role of each block, page by page, except those of the front matter of page one."""
    for blocks in pages:
        for block in blocks:
            block.role = _role(block, look)
        _mark_notes(blocks, look)
        _spread_floats(blocks, look)
    _mark_headings(pages, look)
    _mark_contents(pages)
    _mark_references(pages)


def _role(block: Block, look: Look) -> str:
    first = block.lines[0]
    caption = _CAPTION.match(first.text)
    if caption and (
        caption["end"] is not None or block.size < 0.96 * look.size or first.pieces[0].font.bold
    ):
        return "caption"
    if first.formula:
        return "formula"
    if is_table(block) or is_numeric(block):
        return "table"
    if is_prose(block):
        return "text"
    foreign = family(first.pieces[0].font.name) not in look.families
    small = block.size < 0.94 * look.size
    if (small or foreign) and not first.bold:
        return "figure"
    if small and first.bold:
        return "figure"
    return "text"


def _mark_notes(blocks: Sequence[Block], look: Look) -> None:
    """Mark the footnotes: smaller text below everything else in its column."""
    for index, block in enumerate(blocks):
        if block.role not in {"text", "figure"} or block.size > 0.94 * look.size:
            continue
        line = block.lines[0]
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
