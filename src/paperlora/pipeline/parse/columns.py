"""Find the columns of a page: pieces form segments of a row, and segments form regions in reading order."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paperlora.pipeline.parse.objects import Piece

_APART = 0.9  # em; a wider gap in a row may be that between two columns
ROW = 0.2  # em; baselines that differ by less are one: shadows, badly set lines
_FILLED = 0.6  # of a row's width; the cells of a table fill less
_MANY = 12
_SIDES = 4  # rows that must stand on either side of a gutter
_RULE = re.compile(r"([_.\-–—=*~•·])\1{4,}")  # a line drawn with characters


@dataclass(slots=True)
class Segment:
    """Pieces of one row without a wide gap."""

    pieces: list[Piece]
    x0: float
    x1: float
    y: float
    size: float


def segments_of(pieces: Sequence[Piece]) -> list[Segment]:
    """Return the pieces of a page as segments, from the top, and from the left in each row."""
    return [segment for row in _rows(pieces) for segment in _split(row)]


def _rows(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return the pieces by baseline, from the top; scripts stay rows of their own for now."""
    rows: list[list[Piece]] = []
    base = None
    for piece in sorted(pieces, key=lambda piece: (-piece.y, piece.x0)):
        if base is not None and base - piece.y <= ROW * piece.size:
            rows[-1].append(piece)
        else:
            rows.append([piece])
            base = piece.y
    return rows


def _is_beside(last: Segment, piece: Piece) -> bool:
    """Return whether a piece goes on where a segment ends; a drop capital stands alone."""
    small, large = sorted((piece.size, last.pieces[-1].size))
    return piece.x0 - last.x1 < _APART * small and large < 1.7 * small


def _split(row: list[Piece]) -> list[Segment]:
    row.sort(key=lambda piece: piece.x0)
    found: list[Segment] = []
    for piece in row:
        if _RULE.fullmatch(piece.text):
            continue
        last = found[-1] if found else None
        if last and _is_beside(last, piece):
            last.pieces.append(piece)
            last.x1 = max(last.x1, piece.x1)
            last.size = max(last.size, piece.size)
        else:
            found.append(Segment([piece], piece.x0, piece.x1, piece.y, piece.size))
    return found


def regions(segments: list[Segment], known: Sequence[float]) -> list[list[Segment]]:
    """Return the segments as regions in reading order: between full-width segments, column by column."""
    found = gutter(segments, known)
    if found is None:
        return [segments] if segments else []
    x, top, bottom = found
    above = [one for one in segments if one.y > top]
    below = [one for one in segments if one.y < bottom]
    band = [one for one in segments if bottom <= one.y <= top]
    left = [one for one in band if one.x0 < x]
    right = [one for one in band if one.x0 >= x]
    return [region for part in (above, left, right, below) for region in regions(part, known)]


def gutter(
    segments: list[Segment], known: Sequence[float], *, first: bool = False
) -> tuple[float, float, float] | None:
    """Return the place of the gutter with the most rows beside it, and top and bottom of its band.

    A gutter is a vertical line that no segment of the band crosses, with rows on both sides; one row
    is enough at the ``known`` places. With ``first``, to find these, two rows are enough beside many.
    """
    if len(segments) < (2 if known else 2 * _SIDES):
        return None
    ordered = sorted(segments, key=lambda one: -one.y)
    wide = 0.6 * sorted(one.size for one in ordered)[len(ordered) // 2]
    across = max(one.x1 for one in segments) - min(one.x0 for one in segments)
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
        for begin, end, on_left, on_right in runs:
            fewer, more = sorted((on_left, on_right))
            if fewer < enough and not (first and fewer > 1 and more >= _MANY):
                continue
            band = ordered[begin:end]
            most = max(band[0].y - band[-1].y, 0.1) * across
            if best is not None and most <= best[0]:
                continue  # however good, it is no better: saves most of the time
            score = _gutter_score(band, x, strict=enough > 1)
            if score and (best is None or score > best[0]):
                best = score, x, band[0].y, band[-1].y
    return best[1:] if best else None


def _candidates(segments: Iterable[Segment], wide: float) -> list[float]:
    """Return the places just left of where many segments begin, and just right of where many end."""
    starts = Counter(round(one.x0) for one in segments)
    ends = Counter(round(one.x1) for one in segments)
    places = {
        float(x + shift)
        for counts, shift in ((starts, -2.0), (ends, wide + 1))
        for x in counts
        if counts[x - 1] + counts[x] + counts[x + 1] >= _SIDES
    }
    kept: list[float] = []
    for place in sorted(places):
        if not kept or place - kept[-1] > 1.5:
            kept.append(place)
    return kept


def _gutter_score(band: list[Segment], x: float, *, strict: bool) -> float:
    """Return how many points of height have text on both sides of ``x`` (0: it is no gutter)."""
    size = sorted(one.size for one in band)[len(band) // 2]
    sides = [
        _side([one for one in band if (one.x0 >= x) == right], size) for right in (False, True)
    ]
    if min(side.usual for side in sides) < 5 * size:  # numbers in a margin are no column
        return 0
    if strict and not all(side.is_text for side in sides):  # cells of a table are none either
        return 0
    height = min(side.top for side in sides) - max(side.bottom for side in sides)
    if height < size * strict:
        return 0
    return max(height, 0.1) * sum(side.usual for side in sides)


class _Side(NamedTuple):
    """The text on one side of a gutter."""

    usual: float
    """Mean width of its rows, weighted by width: scraps of formulas hardly count."""
    is_text: bool
    """Whether its rows are whole lines, or so many and so full that they cannot be cells of a table."""
    top: float
    bottom: float


def _side(segments: list[Segment], size: float) -> _Side:
    rows: dict[int, list[Segment]] = {}
    for one in segments:
        rows.setdefault(round(one.y), []).append(one)
    extents = [(max(s.x1 for s in row) - min(s.x0 for s in row), row) for row in rows.values()]
    across = max(one.x1 for one in segments) - min(one.x0 for one in segments)
    filled = max(sum(_width(one) for one in segments), 1e-6)
    whole = sum(_width(one) for one in segments if _width(one) > 0.6 * across)
    long = sum(_width(one) ** 2 for one in segments) > 5 * size * filled
    wide = [(width, sum(map(_width, row))) for width, row in extents if width > 0.6 * across]
    full = sum(text for _, text in wide) > _FILLED * sum(width for width, _ in wide)
    return _Side(
        usual=sum(width * width for width, _ in extents) / max(sum(w for w, _ in extents), 1e-6),
        is_text=(whole > 0.4 * filled and long) or (len(wide) >= _MANY and full),
        top=max(one.y for one in segments),
        bottom=min(one.y for one in segments),
    )


def _width(one: Segment) -> float:
    return one.x1 - one.x0
