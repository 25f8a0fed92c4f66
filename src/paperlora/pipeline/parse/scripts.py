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
_YEAR_BEFORE = re.compile(r"(?:^|[^\d.,])(?:19|20)\d\d$")
_ACCENTS = dict(zip("´`¨ˆ˜ˇ˝˚¸¯˘˙", map(chr, [
    0x301, 0x300, 0x308, 0x302, 0x303, 0x30C, 0x30B, 0x30A, 0x327, 0x304, 0x306, 0x307,
]), strict=True))  # fmt: skip


def text(pieces: Sequence[Piece], y: float, size: float) -> str:
    """Return the text of pieces from left to right on the baseline ``y`` in the usual ``size``."""
    apart_letters = _letter_space(pieces, size)
    parts: list[str] = []
    end = None
    level = 0  # 1 in a raised script, -1 in a lowered one
    for index, piece in enumerate(pieces):
        word = piece.text
        if end is not None and word in _ACCENTS and piece.x0 < end - 0.1 * size:
            _accent(parts, word)
            continue
        if parts and parts[-1] in _ACCENTS and piece.x0 < (end or 0):
            word = unicodedata.normalize("NFC", word[0] + _ACCENTS[parts.pop()]) + word[1:]
        wide = end is not None and _is_space(piece, piece.x0 - end - apart_letters, size)
        now = _level(piece, y, size)
        after = pieces[index + 1] if index + 1 < len(pieces) else None
        joined = after is not None and not _is_space(after, after.x0 - piece.x1, size)
        if wide:
            parts.append(" ")
        if now == 0 or (now == level and not wide):
            if (
                now <= 0
                or parts[-2:-1] == ["^"]
                or "^" in parts[-4:]
                or not _NOTE_MARK.fullmatch(word)
            ):
                parts.append(word)
        elif now < 0:
            parts += ["_", word]
        else:
            _raise(parts, word, joined=joined)
        level = now
        end = max(end or piece.x1, piece.x1)
    return "".join(parts).replace("  ", " ").strip()


def _is_space(piece: Piece, apart: float, size: float) -> bool:
    return apart > GAP * size or (piece.spaced and apart > -GUESSED * size)


def _level(piece: Piece, y: float, size: float) -> int:
    """Return 1 for a raised script, -1 for a lowered one, 0 for the line itself."""
    shift = (piece.y - y) / size
    if piece.size >= _SMALLER * size or abs(shift) <= _SHIFT:
        return 0
    return 1 if shift > 0 else -1


def _raise(parts: list[str], word: str, *, joined: bool) -> None:
    """Add a raised script: a power, an ordinal's letters; the mark of a note is left out."""
    before = "".join(parts[-4:])
    if _ORDINAL.fullmatch(word) and before[-1:].isdigit():
        parts.append(word)
        return
    bare = before.rstrip()
    follows = not bare or _WORD_BEFORE.search(bare) or _YEAR_BEFORE.search(bare)
    isotope = joined and before != bare  # a script before its letter, as in ^14C
    if not (_NOTE_MARK.fullmatch(word) and follows) or isotope:
        parts += ["^", word]


def _accent(parts: list[str], accent: str) -> None:
    """Put an accent that was drawn over the last letter onto it."""
    if parts and parts[-1]:
        word = parts[-1]
        parts[-1] = word[:-1] + unicodedata.normalize("NFC", word[-1] + _ACCENTS[accent])


def _letter_space(pieces: Sequence[Piece], size: float) -> float:
    """Return the usual gap between letters that are set apart, as in some headings; else 0."""
    letters = sum(piece.text.isalpha() and len(piece.text) == 1 for piece in pieces)
    if len(pieces) < 4 or letters < 0.7 * len(pieces) or any(piece.font.math for piece in pieces):
        return 0.0
    gaps = sorted(b.x0 - a.x1 for a, b in pairwise(pieces))
    middle = gaps[len(gaps) // 2]
    return middle if GAP * size < middle < size else 0.0
