"""Read the characters of a page with PDFium, with place, size and font, and cut them into pieces.

A piece is a run of characters of one font and size on one baseline without a gap between them. What
the page draws twice (shadows, imitated bold) is counted once. Only horizontal text is kept, on a
page that is turned: the text along the direction that most of its characters have.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pypdfium2.raw as pdfium

from paperlora.pipeline.parse import objects, radicals
from paperlora.pipeline.parse.objects import Piece
from paperlora.pipeline.text import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from paperlora.pipeline.parse.objects import Font, Look

MAX_CHARACTERS = 60_000
"""Characters that are read of one page; a page of a paper has about 5,000."""
GAP = 0.14  # em; a wider gap is a space: TeX's narrowest is 0.22; less where fonts were replaced
GUESSED = 0.07  # em; enough where PDFium sees a space too
# Computer Modern's own codes for ligatures: files without a table of meanings give the bare code.
_TEX_LIGATURES = {11: "ff", 12: "fi", 13: "fl", 14: "ffi", 15: "ffl"}
_TEX_TEXT = re.compile(r"^(?:cm(?:r|bx|ti|sl|ss|csc|b)|sf[rbt])", re.IGNORECASE)
_SPACES = {9, 10, 13, 32, 0xA0, 0x2002, 0x2003, 0x2009, 0x3000}
_LARGE = (
    dict.fromkeys("PX", "∑")
    | dict.fromkeys("RZ", "∫")
    | dict.fromkeys("QY", "∏")
    | dict.fromkeys("pqrst", "√")
)
_COMBINING = dict(
    zip("´`¨ˆ˜ˇ˝˚¸¯˘˙", map(chr, [
        0x301, 0x300, 0x308, 0x302, 0x303, 0x30C, 0x30B, 0x30A, 0x327, 0x304, 0x306, 0x307,
    ]), strict=True)
)  # fmt: skip
_ACCENTED = frozenset(_COMBINING)
_ACCENTS = frozenset(map(ord, _COMBINING))
_BULLETS = {0xF0B7, 0xF0A7, 0xF0D8, 0xF076}  # of Word's Symbol and Wingdings
_HYPHENS = {2, 0xAD, 0x2010, 0x2011, 0xFFFE}


@dataclass(frozen=True, kw_only=True)
class Page:
    """The pieces of one page."""

    width: float
    height: float
    pieces: list[Piece]
    characters: int
    """All visible characters on the page, also those that were not kept."""
    unknown: int
    """Glyphs without a meaning."""
    turned: int
    """Characters along another direction, which were left out."""
    twice: int
    """Characters that were drawn a second time, which were left out."""
    beyond: int
    """Characters beyond the most that are read of one page."""


def _fast(function: Any, result: Any, *arguments: Any) -> Callable[..., Any]:  # noqa: ANN401 - ctypes
    """Return a function of PDFium that takes plain addresses, which halves the time of a call."""
    return ctypes.PYFUNCTYPE(result, *arguments)(ctypes.cast(function, ctypes.c_void_p).value or 0)


_BOX = _fast(
    pdfium.FPDFText_GetLooseCharBox, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)
_OBJECT = _fast(pdfium.FPDFText_GetTextObject, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


def read_page(document: Any, number: int) -> Page:  # noqa: ANN401 - PDFium's handle
    """Return the pieces of the page with index ``number``; raises ``ValueError`` if it cannot be read."""
    page = pdfium.FPDF_LoadPage(document, number)
    if not page:
        raise ValueError("the page cannot be loaded")
    try:
        text = pdfium.FPDFText_LoadPage(page)
        if not text:
            raise ValueError("the text of the page cannot be loaded")
        try:
            return _read(page, text)
        finally:
            pdfium.FPDFText_ClosePage(text)
    finally:
        pdfium.FPDF_ClosePage(page)


def _read(page: Any, text: Any) -> Page:  # noqa: ANN401
    total = max(pdfium.FPDFText_CountChars(text), 0)
    count = min(total, MAX_CHARACTERS)
    handle = ctypes.cast(text, ctypes.c_void_p).value
    boxes = (ctypes.c_float * (4 * count))()
    base = ctypes.addressof(boxes)
    for index in range(count):
        _BOX(handle, index, base + 16 * index)
    keys = [_OBJECT(handle, index) for index in range(count)]
    codes = _codes(text, count)
    edges = memoryview(boxes).cast("B").cast("f").tolist() if count else []

    runs: dict[int, Look] = {}
    turns: Counter[int] = Counter()
    groups = []
    for key, group in groupby(range(count), keys.__getitem__):
        indices = list(group)
        if not key:
            continue
        if key not in runs:
            runs[key] = objects.look(text, key, indices[0])
        turns[runs[key].turn] += len(indices)
        groups.append((runs[key], indices))
    straight = [item for item in turns.most_common() if item[0] != objects.SLANTED]
    turn = straight[0][0] if straight else 0
    area = objects.area(page, turn)
    shown = objects.visible([(run, indices) for run, indices in groups if run.turn == turn])
    pieces, twice = _once(
        piece for piece in _pieces(shown, codes, edges) if _is_inside(piece, area)
    )
    if turn == 0 and any(radicals.ROOT in piece.text for piece in pieces):
        pieces = radicals.with_brackets(pieces, objects.bars(page))
    visible = sum(turns.values())
    return Page(
        width=pdfium.FPDF_GetPageWidthF(page),
        height=pdfium.FPDF_GetPageHeightF(page),
        pieces=pieces,
        characters=sum(len(piece.text) for piece in pieces) + twice + visible - turns[turn],
        unknown=sum(piece.text.count(UNKNOWN) for piece in pieces),
        turned=visible - turns[turn],
        twice=twice,
        beyond=total - count,
    )


def _pieces(
    groups: list[tuple[Look, list[int]]], codes: list[int], edges: Sequence[float]
) -> Iterator[Piece]:
    """Yield the pieces of text objects, given as runs with the indices of their characters."""
    letters: list[str] = []
    start = end = 0.0
    drawn = guessed = was_spaced = False
    before: Look | None = None
    for run, indices in groups:
        gap, least = GAP * run.size, GUESSED * run.size
        if before is not None and before[:3] != run[:3] and letters:
            yield Piece(
                "".join(letters), start, end, before.y, before.size, before.font, was_spaced
            )
            letters = []
        before = run
        left, right, sign = {0: (0, 2, 1), 1: (3, 1, 1), 2: (2, 0, -1), 3: (1, 3, -1)}[run.turn]
        for index in indices:
            code = codes[index]
            x0, x1 = sign * edges[4 * index + left], sign * edges[4 * index + right]
            if code in _SPACES and not (code < 32 and x1 > x0):
                drawn, guessed = drawn or x1 > x0, True
                continue
            apart = x0 - end
            spaced = apart > -least if drawn else guessed and apart > least
            if letters and (apart > gap or apart < -run.size or spaced):
                yield Piece("".join(letters), start, end, run.y, run.size, run.font, was_spaced)
                letters = []
            if not letters:
                start, end, was_spaced = x0, x1, spaced
            if (
                letters
                and (code in _ACCENTS or letters[-1] in _ACCENTED)
                and x0 < end - 0.05 * run.size
            ):
                letters[-1] = _accented(letters[-1], chr(code))
                end = max(end, x1)
                continue
            plain = 32 < code < 127 and not run.font.large
            letters.append(chr(code) if plain else _character(code, run.font))
            end = max(end, x1)
            drawn = guessed = False
    if letters and before is not None:
        yield Piece("".join(letters), start, end, before.y, before.size, before.font, was_spaced)


def _is_inside(piece: Piece, area: tuple[float, float, float, float]) -> bool:
    """Return whether a piece is on the page and not beside it."""
    left, right, low, high = area
    return left - 1 < piece.x1 and piece.x0 < right + 1 and low - 1 < piece.y < high + 1


def _accented(one: str, other: str) -> str:
    """Return the letter that TeX draws as a letter and an accent over it, in either order."""
    letter, accent = (other, one) if one in _ACCENTED else (one, other)
    plain = {"ı": "i", "ȷ": "j"}.get(letter, letter)
    return unicodedata.normalize("NFC", plain + _COMBINING[accent])


def _character(code: int, font: Font) -> str:
    """Return the text of one glyph: a plain hyphen for each kind of hyphen, letters for ligatures."""
    if code in _HYPHENS:
        return "-"
    if code in _BULLETS:
        return "•"
    if code < 32 or 0xE000 <= code <= 0xF8FF or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        if code in _TEX_LIGATURES and _TEX_TEXT.match(font.name):
            return _TEX_LIGATURES[code]
        return UNKNOWN
    if font.large:
        return _LARGE.get(chr(code), chr(code))
    return chr(code)


def _once(pieces: Iterator[Piece]) -> tuple[list[Piece], int]:
    """Return the pieces without those drawn again at nearly the same place, and the letters left out."""
    seen: dict[str, list[tuple[float, float]]] = {}
    kept: list[Piece] = []
    twice = 0
    for piece in pieces:
        places = seen.setdefault(piece.text, [])
        near = 0.4 * piece.size
        if places and any(
            abs(piece.x0 - x) < near and abs(piece.y - y) < near for x, y in places[-50:]
        ):
            twice += len(piece.text)
        else:
            places.append((piece.x0, piece.y))
            kept.append(piece)
    return kept, twice


def _codes(text: Any, count: int) -> list[int]:  # noqa: ANN401
    """Return the code points. One call for all works unless a glyph has none or two."""
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium.FPDFText_GetText(text, 0, count, buffer) - 1
    if written == count:
        units = list(buffer[:count])
        if not any(0xD800 <= unit < 0xE000 for unit in units):
            return units
    return [pdfium.FPDFText_GetUnicode(text, index) for index in range(count)]
