"""Make lines of the pieces of a page, in reading order: columns by gutters, bands between full-width lines."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from paperlora.pipeline.parse import scripts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paperlora.pipeline.parse.glyphs import Piece

_APART = 0.9  # em; a wider gap in a row may be that between two columns
_SIDES = 4  # rows that must stand on either side of a gutter
_CELL = 1.3  # em; a wider gap in a line is one between cells of a table, or before a formula's number


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a column, with its look."""

    page: int
    """From 1."""
    column: tuple[float, float]
    """Left and right edge of the column of lines that this one stands in, in points."""
    pieces: tuple[Piece, ...]
    """From left to right."""
    text: str
    x0: float
    x1: float
    y: float
    """The baseline, upwards from the bottom of the page."""
    size: float
    """The font size of most of its characters."""
    bold: bool
    italic: bool
    """Whether most of its letters are so."""
    math: float
    """The share of its characters that are set in a font for formulas."""
    cells: int
    """Parts with wide gaps between them."""
    formula: bool = False
    """Whether it is part of a displayed formula."""


@dataclass(slots=True)
class _Segment:
    """Pieces of one row without a wide gap."""

    pieces: list[Piece]
    x0: float
    x1: float
    y: float
    size: float


def paper_lines(pages: Iterable[tuple[int, Sequence[Piece]]]) -> list[list[Line]]:
    """Return the lines of each page in reading order; pages come as number, from 1, and pieces.

    A gutter that one page shows is looked for on the others too, where fewer lines stand beside it.
    """
    segments = {
        number: [segment for row in _rows(pieces) for segment in _split(row)]
        for number, pieces in pages
    }
    gutters = Counter(round(found[0]) for some in segments.values() if (found := _gutter(some, ())))
    known = [x for x, count in gutters.most_common(2) if count > 0.3 * gutters.total()]
    return [
        [line for region in _regions(some, known) for line in _lines(region, number)]
        for number, some in segments.items()
    ]


def _rows(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return the pieces by baseline, from the top; scripts stay rows of their own for now."""
    rows: list[list[Piece]] = []
    base = None
    for piece in sorted(pieces, key=lambda piece: (-piece.y, piece.x0)):
        if base is not None and base - piece.y <= 0.12 * piece.size:
            rows[-1].append(piece)
        else:
            rows.append([piece])
            base = piece.y
    return rows


_RULE = re.compile(r"([_.\-–—=*~•·])\1{4,}")  # a line drawn with characters


def _split(row: list[Piece]) -> list[_Segment]:
    row.sort(key=lambda piece: piece.x0)
    found: list[_Segment] = []
    for piece in row:
        if _RULE.fullmatch(piece.text):
            continue
        last = found[-1] if found else None
        if last and piece.x0 - last.x1 < _APART * min(piece.size, last.pieces[-1].size):
            last.pieces.append(piece)
            last.x1 = max(last.x1, piece.x1)
            last.size = max(last.size, piece.size)
        else:
            found.append(_Segment([piece], piece.x0, piece.x1, piece.y, piece.size))
    return found


def _regions(segments: list[_Segment], known: Sequence[float]) -> list[list[_Segment]]:
    """Return the segments as regions in reading order: between full-width segments, column by column."""
    gutter = _gutter(segments, known)
    if gutter is None:
        return [segments] if segments else []
    x, top, bottom = gutter
    above = [one for one in segments if one.y > top]
    below = [one for one in segments if one.y < bottom]
    band = [one for one in segments if bottom <= one.y <= top]
    left = [one for one in band if one.x0 < x]
    right = [one for one in band if one.x0 >= x]
    return [region for part in (above, left, right, below) for region in _regions(part, known)]


def _gutter(
    segments: list[_Segment], known: Sequence[float]
) -> tuple[float, float, float] | None:
    """Return the place of the gutter with the most rows beside it, and top and bottom of its band.

    A gutter is a vertical line that no segment of the band crosses, with rows on both sides; one row
    is enough at the ``known`` places.
    """
    if len(segments) < (2 if known else 2 * _SIDES):
        return None
    ordered = sorted(segments, key=lambda one: -one.y)
    wide = 0.6 * sorted(one.size for one in ordered)[len(ordered) // 2]
    best: tuple[float, float, float, float] | None = None
    places = [(x, _SIDES) for x in _candidates(segments, wide)] + [(x, 1) for x in known]
    for x, enough in places:
        start, left, right = 0, 0, 0
        runs: list[tuple[int, int, int, int]] = []
        for index, one in enumerate(ordered):
            if one.x0 < x and one.x1 > x - wide:
                runs.append((start, index, left, right))
                start, left, right = index + 1, 0, 0
            elif one.x1 <= x:
                left += 1
            else:
                right += 1
        runs.append((start, len(ordered), left, right))
        for first, end, on_left, on_right in runs:
            if min(on_left, on_right) < enough:
                continue
            band = ordered[first:end]
            score = _gutter_score(band, x, strict=enough > 1)
            if score and (best is None or score > best[0]):
                best = score, x, band[0].y, band[-1].y
    return best[1:] if best else None


def _candidates(segments: Iterable[_Segment], wide: float) -> list[float]:
    """Return the places just left of where many segments begin, and just right of where many end."""
    starts = Counter(round(one.x0) for one in segments)
    ends = Counter(round(one.x1) for one in segments)
    places = {
        float(x + shift)
        for counts, shift in ((starts, -2.0), (ends, wide + 1))
        for x in counts
        if counts[x - 1] + counts[x] + counts[x + 1] >= _SIDES
    }
    return sorted(places)


def _gutter_score(band: list[_Segment], x: float, *, strict: bool) -> float:
    """Return how many points of height have text on both sides of ``x`` (0: it is no gutter)."""
    sides = [one for one in band if one.x0 < x], [one for one in band if one.x0 >= x]
    size = sorted(one.size for one in band)[len(band) // 2]
    widths = [_usual_width(side) for side in sides]
    if min(widths) < 5 * size:  # numbers in a margin are no column
        return 0
    if strict and min(map(_fullness, sides)) < 0.4:  # cells of a table are none either
        return 0
    top = min(max(one.y for one in side) for side in sides)
    bottom = max(min(one.y for one in side) for side in sides)
    if top - bottom < 2 * size * strict:
        return 0
    return max(top - bottom, 0.1) * min(sum(widths), 1000)


def _usual_width(side: list[_Segment]) -> float:
    """Return the mean width of segments, weighted by width: scraps of formulas hardly count."""
    widths = [one.x1 - one.x0 for one in side]
    return sum(width * width for width in widths) / max(sum(widths), 1e-6)


def _fullness(side: list[_Segment]) -> float:
    """Return the share of the text that is in segments nearly as wide as their side."""
    width = max(one.x1 for one in side) - min(one.x0 for one in side)
    wide = sum(one.x1 - one.x0 for one in side if one.x1 - one.x0 > 0.6 * width)
    return wide / max(sum(one.x1 - one.x0 for one in side), 1e-6)


def _lines(region: list[_Segment], number: int) -> list[Line]:
    """Return the lines of a region, from the top; scripts join the line that they belong to."""
    region = sorted(region, key=lambda one: -one.y)
    sizes = Counter[float]()
    for one in region:
        sizes[round(one.size, 1)] += sum(len(piece.text) for piece in one.pieces)
    usual = sizes.most_common(1)[0][0]
    groups: list[list[_Segment]] = []
    for one in region:
        if groups and _same_line(groups[-1], one):
            groups[-1].append(one)
        else:
            groups.append([one])
    groups = _join_scripts(groups, usual)
    column = _edges(region)
    return [
        made_of([piece for one in group for piece in one.pieces], number, column)
        for group in groups
    ]


def _same_line(group: list[_Segment], one: _Segment) -> bool:
    base = max(group, key=lambda other: other.x1 - other.x0)
    return abs(base.y - one.y) <= 0.12 * max(base.size, one.size)


def _join_scripts(groups: list[list[_Segment]], usual: float) -> list[list[_Segment]]:
    """Join groups of smaller letters to the line whose height they share."""
    small = [
        all(len(one.pieces) <= 3 and _letters(one) <= 12 for one in group)
        and (max(one.size for one in group) < 0.87 * usual or max(map(_letters, group)) <= 2)
        for group in groups
    ]
    hosts = [index for index, is_small in enumerate(small) if not is_small]
    joined: dict[int, list[_Segment]] = {index: list(groups[index]) for index in hosts}
    left: list[tuple[float, list[_Segment]]] = []
    place = 0
    for index, group in enumerate(groups):
        if not small[index]:
            continue
        while place < len(hosts) - 1 and hosts[place] < index:
            place += 1
        near = hosts[max(place - 2, 0) : place + 2]
        rest = []
        for one in group:
            host = _host(one, [(which, groups[which]) for which in near])
            if host is None:
                rest.append(one)
            else:
                joined[host].append(one)
        if rest:
            left.append((rest[0].y, rest))
    result = [(groups[index][0].y, group) for index, group in joined.items()] + left
    return [group for _, group in sorted(result, key=lambda item: -item[0])]


def _host(one: _Segment, lines: Iterable[tuple[int, list[_Segment]]]) -> int | None:
    """Return the line that a small segment touches: raised or lowered, directly beside its text."""
    best: tuple[float, int] | None = None
    for index, group in lines:
        for other in group:
            shift = one.y - other.y
            # A root's sign hangs from its baseline, as large symbols do.
            highest = 1.0 if one.pieces[0].font.math and _letters(one) == 1 else 0.6
            if not -0.38 * other.size <= shift <= highest * other.size or one.size > other.size:
                continue
            near = 0.5 * other.size
            if any(
                -near < one.x0 - piece.x1 < near or -near < piece.x0 - one.x1 < near
                for piece in other.pieces
            ) or _in_hole(one, group):
                distance = abs(shift)
                if best is None or distance < best[0]:
                    best = distance, index
    return best[1] if best else None


def _in_hole(one: _Segment, group: Sequence[_Segment]) -> bool:
    """Return whether a segment is between the pieces of a line, where they leave a place free."""
    pieces = [piece for other in group for piece in other.pieces]
    free = all(piece.x1 <= one.x0 + 1 or piece.x0 >= one.x1 - 1 for piece in pieces)
    return (
        free
        and any(piece.x1 <= one.x0 + 1 for piece in pieces)
        and any(piece.x0 >= one.x1 - 1 for piece in pieces)
    )


def _letters(one: _Segment) -> int:
    return sum(len(piece.text) for piece in one.pieces)


def _edges(region: list[_Segment]) -> tuple[float, float]:
    """Return the left and the right edge of a region: where most of its lines begin and end."""
    left = Counter(round(one.x0) for one in region for _ in one.pieces)
    wide = [one for one in region if len(one.pieces) > 2] or region
    right = sorted(one.x1 for one in wide)
    usual = left.most_common(1)[0][0] if left else 0
    return float(usual), right[min(len(right) - 1, int(0.9 * len(right)))]


def made_of(pieces: Iterable[Piece], number: int, column: tuple[float, float]) -> Line:
    """Return the line of ``pieces`` on page ``number`` in the column with these edges."""
    pieces = sorted(pieces, key=lambda piece: piece.x0)
    looks: Counter[tuple[float, float]] = Counter()
    bold = italic = math = total = 0
    for piece in pieces:
        letters = len(piece.text)
        looks[piece.y, piece.size] += letters
        total += letters
        bold += letters * piece.font.bold
        italic += letters * piece.font.italic
        math += letters * piece.font.math
    (y, size), _ = looks.most_common(1)[0]
    ends = pairwise(pieces)
    cells = 1 + sum(right.x0 - left.x1 > _CELL * size for left, right in ends)
    return Line(
        page=number,
        column=column,
        pieces=tuple(pieces),
        text=scripts.text(pieces, y, size),
        x0=pieces[0].x0,
        x1=max(piece.x1 for piece in pieces),
        y=y,
        size=size,
        bold=bold > 0.6 * total,
        italic=italic > 0.6 * total,
        math=math / total,
        cells=cells,
    )
