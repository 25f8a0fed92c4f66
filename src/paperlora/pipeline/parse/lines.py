"""Make lines of the pieces of a page, in reading order; raised and lowered scraps join their line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from paperlora.pipeline.parse import columns, scripts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paperlora.pipeline.parse.columns import Segment
    from paperlora.pipeline.parse.objects import Piece

_CELL = (
    1.3  # em; a wider gap in a line is one between cells of a table, or before a formula's number
)


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


def paper_lines(pages: Iterable[tuple[int, Sequence[Piece]]]) -> list[list[Line]]:
    """Return the lines of each page in reading order; pages come as number, from 1, and pieces.

    A gutter that one page shows is looked for on the others too, where fewer lines stand beside it.
    """
    segments = {number: columns.segments_of(pieces) for number, pieces in pages}
    gutters = Counter(
        round(found[0])
        for some in segments.values()
        if (found := columns.gutter(some, (), first=True))
    )
    known = [x for x, count in gutters.most_common(2) if count > 0.3 * gutters.total()]
    return [
        [line for region in columns.regions(some, known) for line in _lines(region, number)]
        for number, some in segments.items()
    ]


def _lines(region: list[Segment], number: int) -> list[Line]:
    """Return the lines of a region, from the top; scripts join the line that they belong to."""
    region = _with_drop_capitals(sorted(region, key=lambda one: -one.y))
    sizes = Counter[float]()
    for one in region:
        sizes[round(one.size, 1)] += sum(len(piece.text) for piece in one.pieces)
    usual = sizes.most_common(1)[0][0]
    groups: list[list[Segment]] = []
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


def _with_drop_capitals(region: list[Segment]) -> list[Segment]:
    """Put a large first letter that stands over two or three lines before the first of them."""
    for one in region:
        letter = one.pieces[0].text if len(one.pieces) == 1 else ""
        if not (len(letter) == 1 and letter.isalpha() and letter.isupper()):
            continue
        beside = [
            other
            for other in region
            if other.size < 0.6 * one.size
            and 0 <= other.x0 - one.x1 + 2 < one.size
            and one.y - 2 <= other.y < one.y + one.size
        ]
        if beside:
            first = max(beside, key=lambda other: other.y)
            piece = first.pieces[0]
            first.pieces[0] = piece._replace(text=letter + piece.text, x0=one.x0)
            first.x0 = one.x0
            return [other for other in region if other is not one]
    return region


def _same_line(group: list[Segment], one: Segment) -> bool:
    base = max(group, key=lambda other: other.x1 - other.x0)
    small, large = sorted((base.size, one.size))
    return abs(base.y - one.y) <= (columns.ROW if small > 0.9 * large else 0.12) * large


def _join_scripts(groups: list[list[Segment]], usual: float) -> list[list[Segment]]:
    """Join groups of smaller letters to the line whose height they share."""
    small = [
        all(len(one.pieces) <= 6 and _letters(one) <= 12 for one in group)
        and (max(one.size for one in group) < 0.87 * usual or max(map(_letters, group)) <= 2)
        for group in groups
    ]
    hosts = [index for index, is_small in enumerate(small) if not is_small]
    joined: dict[int, list[Segment]] = {index: list(groups[index]) for index in hosts}
    left: list[tuple[float, list[Segment]]] = []
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


def _host(one: Segment, lines: Iterable[tuple[int, list[Segment]]]) -> int | None:
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


def _in_hole(one: Segment, group: Sequence[Segment]) -> bool:
    """Return whether a segment is between the pieces of a line, where they leave a place free."""
    pieces = [piece for other in group for piece in other.pieces]
    free = all(piece.x1 <= one.x0 + 1 or piece.x0 >= one.x1 - 1 for piece in pieces)
    return (
        free
        and any(piece.x1 <= one.x0 + 1 for piece in pieces)
        and any(piece.x0 >= one.x1 - 1 for piece in pieces)
    )


def _letters(one: Segment) -> int:
    return sum(len(piece.text) for piece in one.pieces)


def _edges(region: list[Segment]) -> tuple[float, float]:
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
