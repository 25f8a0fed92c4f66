"""Tell displayed formulas from text, and put the scraps of formulas inside a sentence back into its line."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from paperlora.pipeline.parse import lines as line_maker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperlora.pipeline.parse.lines import Line

_SIGN = re.compile(r"[=<>≤≥≈≃∼∝≡≠→←↦∈∑∏∫√±×·∂∇∞⟨⟩∥|+−^_/]")
_NUMBER = re.compile(r"\(?\s*(?:[A-Z]{1,2}\.?|S)?\d+(?:\.\d+)*[a-z]?\s*\)")
_WORD = re.compile(r"[^\W\d_]{3,}")
_RELATION = re.compile(r"[=<>≤≥≈≃∼∝≡≠→←↦∈]")
_CASE = re.compile(
    r"[=<>≤≥≈+−×·∑∏∫√{}|^_]|\b(?:if|otherwise|else|when|for all|subject to)\b", re.IGNORECASE
)
_NOT_FORMULA = re.compile(r"(?:[•‣▪●○◦–-]|\(?\w{1,3}[.)])\s|(?:fig|table|algorithm)", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z]{2,}[.,;:]?|\W?\d+\W?|[•◦▪–-]")
_SET_IN = 1.7  # em; further in than a paragraph begins
_ROWS = 8  # lines of a formula; more are a quotation or a list
_SHORT = 4  # signs
_SCRAP = 24  # signs; what is left over of a formula inside a sentence is shorter
_CLOSE = (
    1.6  # lines; where two lines of text are nearer than this, no displayed formula fits between
)


def mark(page: Sequence[Line], leading: float) -> list[Line]:
    """Return the lines of a page with ``formula`` set, and with scraps of formulas in their lines.

    ``leading`` is the usual distance of two baselines, in units of the font size.
    """
    found: list[Line] = []
    for column in _columns(page):
        kinds = _kinds(column, leading)
        settled = _settle(column, kinds, leading)
        found += settled
    return found


def _columns(page: Sequence[Line]) -> Iterator[list[Line]]:
    """Yield the lines of each column, from the top."""
    column: list[Line] = []
    for line in page:
        if column and (column[-1].column != line.column or column[-1].y < line.y):
            yield column
            column = []
        column.append(line)
    if column:
        yield column


def _kinds(column: Sequence[Line], leading: float) -> list[bool]:
    """Return for each line whether it is formula, by itself or by its neighbours."""
    kinds: list[bool | None] = []
    for above, line in zip([None, *column], column, strict=False):
        goes_on = above and not kinds[-1] and _continues(above, line, leading)
        kinds.append(False if goes_on else _kind(line))
    for index in range(len(column)):
        if kinds[index] is False and _stands_alone(column, index, leading):
            kinds[index] = True
    for upper, lower in pairwise(range(len(column))):
        if _stacked(column[upper], column[lower], leading):
            kinds[upper] = kinds[lower] = True
    for order in (range(1, len(kinds)), range(len(kinds) - 2, -1, -1)):
        for index in order:
            other = index - 1 if order.step > 0 else index + 1
            if kinds[index] is not True and kinds[other]:
                sure = kinds[index] is False
                if _belongs(column[index], column[other], leading, sure=sure):
                    kinds[index] = True
    return [bool(kind) for kind in kinds]


def _continues(above: Line, line: Line, leading: float) -> bool:
    """Return whether a line goes on below a full line of text, at the left edge, with no more space."""
    full = above.x1 > above.column[1] - above.size
    at_edge = abs(line.x0 - line.column[0]) < 0.5 * line.size
    return full and at_edge and above.y - line.y < 1.1 * leading * above.size


def _stacked(upper: Line, lower: Line, leading: float) -> bool:
    """Return whether two lines are nearer than lines of text can be: parts of a fraction."""
    gap = upper.y - lower.y
    near = 0 < gap < 0.75 * leading * max(upper.size, lower.size)
    signs = _RELATION.search(upper.text) or _RELATION.search(lower.text)
    set_in = all(line.x0 > line.column[0] + _SET_IN * line.size for line in (upper, lower))
    return near and set_in and bool(signs)


def _belongs(line: Line, formula: Line, leading: float, *, sure: bool) -> bool:
    """Return whether a line near a formula is part of it; ``sure`` when it looks like text by itself."""
    gap = abs(line.y - formula.y) / line.size
    set_in = line.x0 > line.column[0] + _SET_IN * line.size
    # A numerator, a denominator or a limit is nearer than a line of text can be.
    tight = gap < 0.85 * leading and set_in and len(line.text) < 40
    case = (
        gap < 1.6 * leading
        and set_in
        and line.x0 > formula.x0 - line.size
        and line.x1 < line.column[1] - 2 * line.size
        and len(line.text) < 60
        and bool(_CASE.search(line.text))
    )
    return tight or case or (not sure and gap < 1.5)


def _stands_alone(column: Sequence[Line], index: int, leading: float) -> bool:
    """Return whether a line is a formula by the space around it and its signs, whatever words it has.

    One as wide as its column must have few words; lines that are set in, or have a number, need not.
    """
    line = column[index]
    if "©" in line.text or line.bold or _NOT_FORMULA.match(line.text):
        return False
    first = last = index  # the lines that are set in together
    if _is_inset(line):
        while first > 0 and _is_inset(column[first - 1]):
            first -= 1
        while last + 1 < len(column) and _is_inset(column[last + 1]):
            last += 1
    long = [other.y for other in column if len(other.text) > _SHORT]  # no numbers on their own
    above = [y - column[first].y for y in long if y > column[first].y]
    below = [column[last].y - y for y in long if y < column[last].y]
    gaps = [min(some) / (leading * line.size) for some in (above, below) if some]
    if not gaps:
        return False
    rows = column[first : last + 1]
    signs = any(_is_numbered(row) or _RELATION.search(row.text) for row in rows)
    if _is_inset(line) and signs and len(rows) <= _ROWS and min(gaps) > 1.15:
        return True
    bare = line.text.replace(" ", "")
    words = sum(map(len, _WORD.findall(line.text)))
    if words > 0.15 * len(bare) or len(_SIGN.findall(bare)) < 2:
        return False
    return min(gaps) > (1.2 if line.math > 0.25 or _is_numbered(line) else 1.4)


def _is_inset(line: Line) -> bool:
    """Return whether a line is set in on both sides, but for the number of a formula."""
    left, right = line.column
    numbered = _is_numbered(line)
    begins = line.x0 > left + (1.2 if numbered else _SET_IN) * line.size
    return begins and (numbered or line.x1 < right - 2 * line.size or len(line.text) <= _SHORT)


def _is_numbered(line: Line) -> bool:
    """Return whether a line ends in a formula's number at the right edge of its column."""
    last = line.pieces[-1]
    at_edge = line.x1 > line.column[1] - 0.5 * line.size
    apart = len(line.pieces) > 1 and last.x0 - line.pieces[-2].x1 > 0.6 * line.size
    return at_edge and apart and bool(_NUMBER.fullmatch(last.text))


def _kind(line: Line) -> bool | None:
    """Return whether a line is part of a formula; None when its neighbours have to tell."""
    bare = line.text.replace(" ", "")
    if "©" in bare or "http" in bare:
        return False
    set_in = line.x0 > line.column[0] + 0.9 * line.size
    if len(bare) <= _SHORT:
        plain = _PLAIN.fullmatch(bare) and line.math <= 0.4
        return None if set_in and plain else set_in or line.math > 0.4
    words = sum(
        len(word)
        for piece in line.pieces
        if not piece.font.math and piece.size > 0.8 * line.size
        for word in _WORD.findall(piece.text)
    )
    share = words / len(bare)
    signs = len(_SIGN.findall(bare))
    if not set_in:
        first = line.cells > 1 and bool(_NUMBER.fullmatch(line.pieces[0].text))  # on the left
        return share < (0.4 if first else 0.15) and (first or line.math > 0.4) and signs > 1
    numbered = _is_numbered(line)
    if (
        (numbered and signs and share < 0.75)
        or (share < 0.3 and (line.math > 0.2 or signs))
        or (share < 0.5 and line.math > 0.5)
    ):
        return True
    return None if share < 0.3 else False


def _settle(column: Sequence[Line], kinds: list[bool], leading: float) -> list[Line]:
    result: list[Line] = []
    index = 0
    while index < len(column):
        if not kinds[index]:
            result.append(column[index])
            index += 1
            continue
        end = index
        while end < len(column) and kinds[end]:
            end += 1
        run = list(column[index:end])
        above = result[-1] if result and not result[-1].formula else None
        below = column[end] if end < len(column) else None
        if above and below and _touch(above, below, run, leading):
            placed = {above.y: [above], below.y: [below]}
            for scrap in run:
                nearer = above if abs(above.y - scrap.y) <= abs(below.y - scrap.y) else below
                placed[nearer.y].append(scrap)
            result[-1] = _merged(placed[above.y])
            result.append(_merged(placed[below.y]))
            index = end + 1
            continue
        result += [dataclasses.replace(line, formula=True) for line in run]
        index = end
    return result


def _touch(above: Line, below: Line, run: Sequence[Line], leading: float) -> bool:
    """Return whether the lines of text around scraps are so near that the scraps belong to them."""
    size = max(above.size, below.size)
    return above.y - below.y <= _CLOSE * leading * size and all(
        len(scrap.text.replace(" ", "")) <= _SCRAP for scrap in run
    )


def _merged(parts: Sequence[Line]) -> Line:
    if len(parts) == 1:
        return parts[0]
    pieces = [piece for part in parts for piece in part.pieces]
    return line_maker.made_of(pieces, parts[0].page, parts[0].column)
