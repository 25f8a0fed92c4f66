"""Write the pieces of a line as text: spaces where the gaps are, raised and lowered letters marked."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

from paperlora.pipeline.parse.glyphs import GAP, GUESSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperlora.pipeline.parse.glyphs import Piece

_SHIFT = 0.12  # em; a letter that is raised or lowered by more is a script, if it is smaller
_SMALLER = 0.88
_NOTE_MARK = re.compile(r"[*∗⋆†‡§¶‖#]+|(?:\d{1,3}|[a-z])(?:[,;–-](?:\d{1,3}|[a-z]))*[,;]?[*∗†‡§]*")
_ORDINAL = re.compile(r"st|nd|rd|th")
_WORD_BEFORE = re.compile(r"[^\W\d_]{3,}[\"'”’)\]]*[.,;:!?]*$|[.,;:!?\"”’)\]]$")
_ACCENTS = dict(zip("´`¨ˆ˜ˇ˝˚¸¯˘˙", map(chr, [
    0x301, 0x300, 0x308, 0x302, 0x303, 0x30C, 0x30B, 0x30A, 0x327, 0x304, 0x306, 0x307,
]), strict=True))  # fmt: skip


def text(pieces: Sequence[Piece], y: float, size: float) -> str:
    """Return the text of pieces from left to right on the baseline ``y`` in the usual ``size``."""
    gap = GAP * size
    spaced_out = _letter_space(pieces, size)
    parts: list[str] = []
    end = None
    level = 0  # 1 in a raised script, -1 in a lowered one
    for piece in pieces:
        word = piece.text
        if end is not None and word in _ACCENTS and piece.x0 < end - 0.1 * size:
            _accent(parts, word)
            continue
        if parts and parts[-1] in _ACCENTS and piece.x0 < (end or 0):
            word = unicodedata.normalize("NFC", word[0] + _ACCENTS[parts.pop()]) + word[1:]
        shift = (piece.y - y) / size
        now = 0
        if piece.size < _SMALLER * size and abs(shift) > _SHIFT:
            now = 1 if shift > 0 else -1
        apart = 0.0 if end is None else piece.x0 - end
        wide = end is not None and (
            apart > gap + spaced_out or (piece.spaced and apart > GUESSED * size + spaced_out)
        )
        if now and now != level and not wide:
            before = "".join(parts[-3:])
            if now > 0 and _ORDINAL.fullmatch(word) and before[-1:].isdigit():
                parts.append(word)
            elif (
                now > 0
                and _NOTE_MARK.fullmatch(word)
                and (not before or _WORD_BEFORE.search(before))
            ):
                pass  # the mark of a note or a reference
            else:
                parts.append("^" if now > 0 else "_")
                parts.append(word)
        elif (
            now > 0
            and now == level
            and not wide
            and parts
            and parts[-1] != "^"
            and "^" not in parts[-2:]
            and _NOTE_MARK.fullmatch(word)
        ):
            pass  # the rest of a mark
        else:
            if wide:
                parts.append(" ")
            parts.append(word)
        level = now
        end = max(end or piece.x1, piece.x1)
    return "".join(parts)


def _accent(parts: list[str], accent: str) -> None:
    """Put an accent that was drawn over the last letter onto it."""
    if parts and parts[-1]:
        word = parts[-1]
        parts[-1] = word[:-1] + unicodedata.normalize("NFC", word[-1] + _ACCENTS[accent])


def _letter_space(pieces: Sequence[Piece], size: float) -> float:
    """Return the usual gap between letters that are set apart, as in some headings; else 0."""
    letters = sum(piece.text.isalpha() and len(piece.text) == 1 for piece in pieces)
    if len(pieces) < 8 or letters < 0.7 * len(pieces) or any(piece.font.math for piece in pieces):
        return 0.0
    gaps = sorted(b.x0 - a.x1 for a, b in pairwise(pieces))
    middle = gaps[len(gaps) // 2]
    return middle if GAP * size < middle < size else 0.0
