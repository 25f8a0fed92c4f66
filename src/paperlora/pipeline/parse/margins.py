"""Find what stands around the text of a paper: running heads, page numbers, numbers of lines."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperlora.pipeline.parse.glyphs import Page
    from paperlora.pipeline.parse.lines import Line
    from paperlora.pipeline.parse.objects import Piece

_EDGE = 3  # lines at the top and at the bottom of a page that may be running heads
_PAGE_NUMBER = re.compile(
    r"(?:(?:page|p\.|pp\.|s)\s*)?[-–—|\[]?\s*(?:\d{1,5}|[ivxl]{1,6})\s*[-–—|\]]?(?:\s*(?:of|/)\s*\d+)?",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(r"\d{1,5}")
_PAGES = 0.4  # of the pages must have such numbers
_ENOUGH = 5  # numbers in a margin that count up before they are taken for numbers of lines


def without_line_numbers(pages: Sequence[Page]) -> tuple[list[list[Piece]], int]:
    """Return the pieces of each page without the numbers of its lines, and how many were left out.

    They are numbers in one margin that count up in even steps, as fast as the lines beside them.
    """
    known = set(_margins(pages))
    if not known:
        return [page.pieces for page in pages], 0
    kept: list[list[Piece]] = []
    left_out = 0
    for page in pages:
        rest = [
            piece
            for piece in page.pieces
            if not (_NUMBER.fullmatch(piece.text) and not known.isdisjoint(_places(piece)))
            or _has_outside(piece, page.pieces)
        ]
        left_out += len(page.pieces) - len(rest)
        kept.append(rest)
    return kept, left_out


def _places(piece: Piece) -> list[tuple[str, int]]:
    """Return where a number begins and where it ends, roughly."""
    return [
        (side, place + near)
        for side, x in (("left", piece.x0), ("right", piece.x1))
        for place in [round(x / 3)]
        for near in (0, 1)
    ]


def _margins(pages: Sequence[Page]) -> Iterator[tuple[str, int]]:
    """Yield the places where numbers of lines begin, or end, one under the other."""
    numbers: dict[tuple[str, int], dict[int, list[Piece]]] = {}
    for index, page in enumerate(pages):
        for piece in page.pieces:
            if _NUMBER.fullmatch(piece.text):
                for place in _places(piece):
                    numbers.setdefault(place, {}).setdefault(index, []).append(piece)
    for place, columns in numbers.items():
        if sum(map(len, columns.values())) >= _ENOUGH and len(columns) >= _PAGES * len(pages):
            ordered = {
                index: sorted(column, key=lambda piece: -piece.y)
                for index, column in columns.items()
            }
            if _count_lines(ordered, pages):
                yield place


def _count_lines(columns: dict[int, list[Piece]], pages: Sequence[Page]) -> bool:
    """Return whether numbers count up in even steps, as fast as the rows beside them."""
    steps = Counter(
        int(after.text) - int(before.text)
        for column in columns.values()
        for before, after in pairwise(column)
    )
    if not steps:
        return False
    step, count = steps.most_common(1)[0]
    if not 1 <= step <= 10 or count < 0.8 * steps.total():
        return False
    rows = inside = total = 0
    for index, column in columns.items():
        total += len(column)
        pieces = pages[index].pieces
        inside += sum(_has_outside(p, pieces) or not _is_outer(p, pieces) for p in column)
        rows += _rows_beside(column, pieces)
    counted = step * (total - len(columns)) + len(columns)
    return inside <= 0.1 * total and 0.6 * rows <= counted <= 1.6 * rows + 2


def _rows_beside(column: Sequence[Piece], pieces: Sequence[Piece]) -> int:
    """Return how many rows of text a page has between the first and the last of some numbers."""
    left, right = min(piece.x0 for piece in column) - 1, max(piece.x1 for piece in column) + 1
    top, bottom = column[0].y + 2, column[-1].y - 2
    heights = sorted(
        piece.y
        for piece in pieces
        if bottom <= piece.y <= top and (piece.x1 < left or piece.x0 > right)
    )
    return 1 + sum(after - before > 5 for before, after in pairwise(heights))  # points


def _has_outside(piece: Piece, pieces: Sequence[Piece]) -> bool:
    """Return whether text stands on both sides of a piece, in its row."""
    row = [one for one in pieces if abs(one.y - piece.y) < 2 and one is not piece]
    left = any(one.x1 <= piece.x0 for one in row)
    right = any(one.x0 >= piece.x1 for one in row)
    return left and right


def _is_outer(number: Piece, pieces: Sequence[Piece]) -> bool:
    """Return whether a number is beside the text of its page and not in it, as that of a table is."""
    left = sum(one.x0 < number.x1 for one in pieces if not _NUMBER.fullmatch(one.text))
    right = sum(one.x1 > number.x0 for one in pieces if not _NUMBER.fullmatch(one.text))
    return min(left, right) < 0.02 * len(pieces)


def running(pages: Sequence[Sequence[Line]], size: float) -> set[int]:
    """Return the identities of the lines that are running heads, running feet and page numbers.

    A line is one when it is among the first or last three of its page and stands there on at least
    three pages (two, in a paper of up to four), at about the same height. Digits may differ. What is
    larger than ``size``, that of the text, is a heading.
    """
    edges = [_edge_lines(page) for page in pages]
    counts = Counter(key for lines in edges for key in {_key(line) for line in lines})
    often = 2 if len(pages) <= 4 else 3
    found = set()
    for lines in edges:
        for line in lines:
            key = _key(line)
            near = sum(counts[key[0], key[1] + step] for step in (-1, 0, 1))
            if near >= often and any(c.isalnum() for c in line.text) and line.size < 1.1 * size:
                found.add(id(line))
        for row in (_row(lines, lines[0]), _row(lines, lines[-1])) if lines else ():
            if any(_PAGE_NUMBER.fullmatch(line.text.strip()) for line in row):
                found |= {id(line) for line in row if _is_short(line)}
    for page, lines in zip(pages[1:], edges[1:], strict=True):
        found |= {id(line) for line in _far_above(page, lines, size)}
    return found


def _row(lines: Sequence[Line], one: Line) -> list[Line]:
    return [line for line in lines if abs(line.y - one.y) < 3]


def _is_short(line: Line) -> bool:
    return len(line.text.split()) <= 15


def _far_above(page: Sequence[Line], lines: Sequence[Line], size: float) -> list[Line]:
    """Return the top row of a page where it stands far above the rest, and is not larger than the text."""
    if not lines:
        return []
    row = _row(lines, lines[0])
    below = [line.y for line in page if line.y < lines[0].y - 3]
    far = bool(below) and lines[0].y - max(below) > 2.9 * size
    plain = all(line.size < 1.05 * size and _is_short(line) for line in row)
    return row if far and plain and not row[0].text.endswith((".", "-")) else []


def _edge_lines(page: Sequence[Line]) -> list[Line]:
    """Return the lines at the top and at the bottom of a page, from the top."""
    ordered = sorted(page, key=lambda line: -line.y)
    rows: list[list[Line]] = []
    for line in ordered:
        if rows and rows[-1][0].y - line.y < 3:
            rows[-1].append(line)
        else:
            rows.append([line])
    chosen = rows[:_EDGE] + rows[max(_EDGE, len(rows) - _EDGE) :]
    return [line for row in chosen for line in row]


def _key(line: Line) -> tuple[str, int]:
    return _DIGITS.sub("#", line.text.casefold()), round(line.y / 6)
