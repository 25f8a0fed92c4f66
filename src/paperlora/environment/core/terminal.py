"""Format text for a terminal: colours, aligned columns, sizes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CODES = {"green": 32, "yellow": 33, "red": 31, "grey": 90}


def paint(text: str, colour: str) -> str:
    """Return ``text`` in a colour, if stdout is a terminal and ``NO_COLOR`` is not set."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or colour not in _CODES:
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def columns(rows: Sequence[Sequence[str]], colours: Sequence[str]) -> list[str]:
    """Return the rows as lines with aligned columns, each line in its colour (``""``: no colour)."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [paint(line, colour) for line, colour in zip(lines, colours, strict=True)]


def human(size: float) -> str:
    """Return a number of bytes with a unit, as in ``7.7 GB`` (10⁹)."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
