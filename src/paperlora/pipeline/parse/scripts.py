"""Write the pieces of a line as text: spaces where the gaps are, raised and lowered letters marked."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

from paperlora.pipeline.parse.glyphs import GAP, GUESSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperlora.pipeline.parse.objects import Piece

_SHIFT = 0.12  # em; a letter that is raised or lowered by more is a script, if it is smaller
_SMALLER = 0.88
_BESIDE = 0.1  # em; TeX puts 0.12 beside a fraction and nothing before an index or a power
_NOTE_MARK = re.compile(r"[*∗⋆†‡§¶‖#]+|(?:\d{1,3}|[a-z])(?:[,;–-](?:\d{1,3}|[a-z]))*[,;]?[*∗†‡§]*")
# What needs no brackets as a script: a number, a name, signs; "L − 1" does: 2^(L − 1) is not 2^L − 1.
_PLAIN_SCRIPT = re.compile(r"[−+-]?[\w.,]+[+−]?|[^\w\s]+|\(.*\)")
_ORDINAL = re.compile(r"st|nd|rd|th")
_WORD_BEFORE = re.compile(r"[^\W\d_]{3,}[\"'”’)\]]*[.,;:!?]*$|[.,;:!?\"”’)\]]$")
_YEAR_BEFORE = re.compile(r"(?:^|[^\d.,])(?:19|20)\d\d$")
_ACCENTS = dict(zip("´`¨ˆ˜ˇ˝˚¸¯˘˙", map(chr, [
    0x301, 0x300, 0x308, 0x302, 0x303, 0x30C, 0x30B, 0x30A, 0x327, 0x304, 0x306, 0x307,
]), strict=True))  # fmt: skip


def text(pieces: Sequence[Piece], y: float, size: float) -> str:
    """Return the text of pieces from left to right on the baseline ``y`` in the usual ``size``."""
    pieces = _with_fractions(pieces, y, size)
    apart_letters = _letter_space(pieces, size)
    parts: list[str] = []
    end = None
    level = 0  # 1 in a raised script, -1 in a lowered one
    begun = 0  # the first part of that script
    kept = True  # whether that script is written; the mark of a note is not
    for index, piece in enumerate(pieces):
        word = piece.text
        if end is not None and word in _ACCENTS and piece.x0 < end - 0.1 * size:
            _accent(parts, word)
            continue
        if parts and parts[-1] in _ACCENTS and piece.x0 < (end or 0):
            word = unicodedata.normalize("NFC", word[0] + _ACCENTS[parts.pop()]) + word[1:]
        wide = end is not None and _is_space(piece, piece.x0 - end - apart_letters, size)
        now = _level(piece, y, size)
        if level and (wide or now != level):
            _bracket(parts, begun)
        if wide:
            parts.append(" ")
        if now == 0 or (now == level and not wide):
            if now <= 0 or kept or not (_NOTE_MARK.fullmatch(word) or word in ",;–-"):
                parts.append(word)
        else:
            begun = len(parts) + 1
            if now < 0:
                parts += ["_", word]
            else:
                after = pieces[index + 1] if index + 1 < len(pieces) else None
                joined = after is not None and not _is_space(after, after.x0 - piece.x1, size)
                power = not wide and _ends_formula(pieces[:index])
                kept = _raise(parts, word, joined=joined, power=power)
        level = now
        end = max(end or piece.x1, piece.x1)
    if level:
        _bracket(parts, begun)
    return "".join(parts).replace("  ", " ").strip()


def _with_fractions(pieces: Sequence[Piece], y: float, size: float) -> list[Piece]:
    """Return the pieces with each small fraction, a number over another one, as one piece: 3/7.

    Space on both sides tells it from an index below a power, and from the numbers of an isotope.
    """
    found: list[Piece] = []
    for piece, after in zip(pieces, [*pieces[1:], None], strict=True):
        found.append(piece)
        before = found[-3] if len(found) > 2 else None
        levels = {_level(one, y, size) for one in found[-2:]}
        if levels == {1, -1} and _is_fraction(found[-2], piece, before, after, size):
            upper, lower = sorted(found[-2:], key=lambda one: -one.y)
            found[-2:] = [
                upper._replace(
                    text=f"{upper.text}/{lower.text}",
                    x0=min(upper.x0, lower.x0),
                    x1=max(upper.x1, lower.x1),
                    y=y,
                    size=size,
                    spaced=before is not None and before.text[-1:].isalnum(),
                )
            ]
    return found


def _is_fraction(
    one: Piece, other: Piece, before: Piece | None, after: Piece | None, size: float
) -> bool:
    """Return whether a raised and a lowered neighbour are the numbers of a fraction, by their places."""
    if not (one.text.isalnum() and other.text.isalnum()):
        return False
    left, right = min(one.x0, other.x0), max(one.x1, other.x1)
    overlap = min(one.x1, other.x1) - max(one.x0, other.x0)
    if overlap < 0.6 * min(one.x1 - one.x0, other.x1 - other.x0):
        return False
    apart = before is None or left - before.x1 > _BESIDE * size
    return apart and (after is None or after.x0 - right > _BESIDE * size)


def _ends_formula(pieces: Sequence[Piece]) -> bool:
    """Return whether the last piece is of a formula, or a bracket around one: (1 − t)."""
    if not pieces:
        return False
    last = pieces[-1]
    if last.font.math or not last.text.endswith((")", "]")):
        return last.font.math
    depth = 0
    for piece in reversed(pieces):
        depth += sum(map(piece.text.count, ")]")) - sum(map(piece.text.count, "(["))
        if piece.font.math:
            return True
        if depth <= 0:
            return False
    return False


def _bracket(parts: list[str], begun: int) -> None:
    """Put brackets around the script that begins at ``parts[begun]``, if it needs them."""
    script = "".join(parts[begun:])
    if script and not _PLAIN_SCRIPT.fullmatch(script):
        parts[begun:] = [f"({script})"]


def _is_space(piece: Piece, apart: float, size: float) -> bool:
    return apart > GAP * size or (piece.spaced and apart > -GUESSED * size)


def _level(piece: Piece, y: float, size: float) -> int:
    """Return 1 for a raised script, -1 for a lowered one, 0 for the line itself."""
    shift = (piece.y - y) / size
    if piece.size >= _SMALLER * size or abs(shift) <= _SHIFT:
        return 0
    return 1 if shift > 0 else -1


def _raise(parts: list[str], word: str, *, joined: bool, power: bool) -> bool:
    """Add a raised script, a power or an ordinal's letters, and return True; not the mark of a note."""
    before = "".join(parts[-4:])
    if _ORDINAL.fullmatch(word) and before[-1:].isdigit():
        parts.append(word)
        return True
    bare = before.rstrip()
    follows = not bare or _WORD_BEFORE.search(bare) or _YEAR_BEFORE.search(bare)
    isotope = joined and before != bare  # a script before its letter, as in ^14C
    written = power or isotope or not (_NOTE_MARK.fullmatch(word) and follows)
    if written:
        parts += ["^", word]
    return bool(written)


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
