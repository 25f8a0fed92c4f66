"""Find what stands around the text of a paper: running heads, page numbers, numbers of lines."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperlora.pipeline.parse.glyphs import Page, Piece
    from paperlora.pipeline.parse.lines import Line

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

    They are numbers in one margin that count up in even steps, as fast as the lines beside them. A
    last page with few of them is recognised by the other pages.
    """
    places = Counter(
        place for page in pages for place in {round(x / 3) for x in _margin_numbers(page.pieces)}
    )
    known = {
        near
        for place, count in places.items()
        if count >= _PAGES * len(pages)
        for near in (place - 1, place, place + 1)
    }
    kept: list[list[Piece]] = []
    left_out = 0
    for page in pages:
        rest = [
            piece
            for piece in page.pieces
            if not (known and _NUMBER.fullmatch(piece.text) and round(piece.x1 / 3) in known)
            or _has_outside(piece, page.pieces)
        ]
        left_out += len(page.pieces) - len(rest)
        kept.append(rest)
    return kept, left_out


def _margin_numbers(pieces: Sequence[Piece]) -> list[float]:
    """Return the right edges of the margins of a page that hold numbers of lines."""
    numbers: dict[int, list[Piece]] = {}
    for piece in pieces:
        if _NUMBER.fullmatch(piece.text):
            numbers.setdefault(round(piece.x1 / 3), []).append(piece)
    found = []
    for place, some in numbers.items():
        column = sorted({*some, *numbers.get(place + 1, ())}, key=lambda piece: -piece.y)
        if len(column) < _ENOUGH:
            continue
        steps = Counter(
            int(after.text) - int(before.text)
            for before, after in zip(column, column[1:], strict=False)
        )
        step, count = steps.most_common(1)[0]
        if not 1 <= step <= 10 or count < 0.8 * (len(column) - 1):
            continue
        if sum(_has_outside(piece, pieces) for piece in column) > 0.1 * len(column):
            continue
        left, right = min(p.x0 for p in column) - 1, max(p.x1 for p in column) + 1
        top, bottom = column[0].y, column[-1].y
        others = {
            round(piece.y)
            for piece in pieces
            if bottom - 2 <= piece.y <= top + 2 and (piece.x1 < left or piece.x0 > right)
        }
        rows = 0
        last = None
        for y in sorted(others):  # baselines nearer than 5 points are one row
            if last is None or y - last > 5:
                rows, last = rows + 1, y
        if 0.6 * rows <= step * (len(column) - 1) + 1 <= 1.6 * rows + 2:
            found.append(column[0].x1)
    return found


def _has_outside(piece: Piece, pieces: Sequence[Piece]) -> bool:
    """Return whether text stands on both sides of a piece, in its row."""
    row = [one for one in pieces if abs(one.y - piece.y) < 2 and one is not piece]
    left = any(one.x1 <= piece.x0 for one in row)
    right = any(one.x0 >= piece.x1 for one in row)
    return left and right


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
        outer = lines[:1] + lines[-1:]
        for line in outer:
            if _PAGE_NUMBER.fullmatch(line.text.strip()):
                found.add(id(line))
    return found


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
