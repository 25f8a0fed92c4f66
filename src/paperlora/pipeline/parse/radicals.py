"""Write brackets where the bar of a root was: the root of 2/π is √(2/π), not √2/π."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from paperlora.pipeline.parse.objects import Bar, Piece

ROOT = "√"
_PLAIN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]")


def with_brackets(pieces: Sequence[Piece], bars: Iterable[Bar]) -> list[Piece]:
    """Return the pieces of a page, with brackets around what stands below the bar of a root."""
    found, bars = list(pieces), list(bars)
    for root in pieces:
        bar = next((bar for bar in bars if root.text.endswith(ROOT) and _is_over(bar, root)), None)
        if bar is None:
            continue
        below = [
            piece
            for piece in found
            if bar.x0 < (piece.x0 + piece.x1) / 2 < bar.x1
            and abs(piece.y - root.y) < 0.8 * root.size
            and not piece.text.endswith(ROOT)
        ]
        below.sort(key=lambda piece: piece.x0)
        letters = "".join(piece.text for piece in below if piece.size > 0.88 * root.size)
        if not below or _PLAIN.fullmatch(letters.rstrip(".,;:")):
            continue
        last = below[-1]
        if last.text[-1] in ".,;:" and last.x1 > bar.x1 + 0.05 * root.size:
            place = found.index(last)
            found[place : place + 1] = [
                last._replace(text=last.text[:-1], x1=bar.x1),
                last._replace(text=last.text[-1], x0=bar.x1, spaced=False),
            ]
            last = found[place]
        first = below[0] if len(below) > 1 else last
        opened = root._replace(text="(", x0=first.x0, x1=first.x0, spaced=False)
        closed = root._replace(text=")", x0=last.x1, x1=last.x1, spaced=False)
        found.insert(found.index(first), opened)
        found.insert(found.index(last) + 1, closed)
    return found


def _is_over(bar: Bar, root: Piece) -> bool:
    """Return whether a bar begins where the sign of a root ends, at its top."""
    return abs(bar.x0 - root.x1) < 0.3 * root.size and 0 < bar.y - root.y < 2.5 * root.size
