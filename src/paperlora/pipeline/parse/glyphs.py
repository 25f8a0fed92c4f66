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
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import pypdfium2.raw as pdfium

from paperlora.pipeline.text import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SMALLEST = 1.5  # points; nobody reads smaller letters
MAX_CHARACTERS = 60_000
"""Characters that are read of one page; a page of a paper has about 5,000."""
GAP = 0.14  # em; a wider gap is a space: TeX's narrowest is 0.22; less where fonts were replaced
_SLANTED = 4
GUESSED = 0.07  # em; enough where PDFium sees a space too
_BOLD = re.compile(
    r"bold|black|heavy|semib|demi|medi$|medi[^u]|[-,]bd|cmbx|sfbx|\bbx", re.IGNORECASE
)
_ITALIC = re.compile(r"ital|obli|slant|-it\b|cmti|cmsl|sfti|[a-z]it$", re.IGNORECASE)
_MATH = re.compile(
    r"^(?:cm(?:mi|sy|ex|bsy|mib)|lmmath|ms[ab]m|mt2?(?:mi|sy|ex)|rmtmi|[tp]xb?(?:mi|sy|ex)|rsfs|euf|eus"
    r"|stmary|wasy|esint|ntx|newtx|zplm)|math(?!ematicalpi)|symbol|mathematicalpi|euclid|cambriamath",
    re.IGNORECASE,
)
# Computer Modern's own codes for ligatures: files without a table of meanings give the bare code.
_TEX_LIGATURES = {11: "ff", 12: "fi", 13: "fl", 14: "ffi", 15: "ffl"}
_TEX_TEXT = re.compile(r"^(?:cm(?:r|bx|ti|sl|ss|csc|b)|sf[rbt])", re.IGNORECASE)
_SPACES = {9, 10, 13, 32, 0xA0, 0x2002, 0x2003, 0x2009, 0x3000}
# The font of large signs: letters are its own codes, and its glyphs hang from the baseline.
_EXTENSION = re.compile(r"^(?:cmex|lmmathext|mtex|txex|pxex)", re.IGNORECASE)
_LARGE = (
    dict.fromkeys("PX", "∑")
    | dict.fromkeys("RZ", "∫")
    | dict.fromkeys("QY", "∏")
    | dict.fromkeys("pqrst", "√")
)
_HANG = 0.85  # em
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
class Font:
    """What a font's name and flags say about its look."""

    name: str
    bold: bool
    italic: bool
    math: bool
    """Whether it is a font for formulas."""
    large: bool
    """Whether it is TeX's font of large signs."""


class Piece(NamedTuple):
    """Characters without a gap between them; coordinates in points, y upwards."""

    text: str
    x0: float
    x1: float
    y: float
    """The baseline."""
    size: float
    font: Font
    spaced: bool
    """Whether a space stands before it: one of the file's, or one that PDFium sees."""


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


class _Run(NamedTuple):
    font: Font
    size: float
    y: float
    turn: int
    """Quarter turns of the writing direction, counted anticlockwise."""
    hidden: bool
    """Whether it is drawn white or not at all."""


def _fast(function: Any, result: Any, *arguments: Any) -> Callable[..., Any]:  # noqa: ANN401 - ctypes
    """Return a function of PDFium that takes plain addresses, which halves the time of a call."""
    return ctypes.PYFUNCTYPE(result, *arguments)(ctypes.cast(function, ctypes.c_void_p).value or 0)


_BOX = _fast(
    pdfium.FPDFText_GetLooseCharBox, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)
_OBJECT = _fast(pdfium.FPDFText_GetTextObject, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


@cache
def _font(name: str, forced_bold: bool) -> Font:  # noqa: FBT001 - a flag of the file
    name = name.partition("+")[2] or name
    return Font(
        name=name,
        bold=forced_bold or bool(_BOLD.search(name)),
        italic=bool(_ITALIC.search(name)),
        math=bool(_MATH.search(name)),
        large=bool(_EXTENSION.search(name)),
    )


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
    objects = [_OBJECT(handle, index) for index in range(count)]
    codes = _codes(text, count)
    edges = memoryview(boxes).cast("B").cast("f").tolist() if count else []

    runs: dict[int, _Run] = {}
    turns: Counter[int] = Counter()
    groups = []
    for key, group in groupby(range(count), objects.__getitem__):
        indices = list(group)
        if not key:
            continue
        if key not in runs:
            runs[key] = _run(text, key, indices[0])
        turns[runs[key].turn] += len(indices)
        groups.append((runs[key], indices))
    straight = [item for item in turns.most_common() if item[0] != _SLANTED]
    turn = straight[0][0] if straight else 0
    area = _area(page, turn)
    shown = _visible([(run, indices) for run, indices in groups if run.turn == turn])
    pieces, twice = _once(
        piece for piece in _pieces(shown, codes, edges) if _is_inside(piece, area)
    )
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
    groups: list[tuple[_Run, list[int]]], codes: list[int], edges: Sequence[float]
) -> Iterator[Piece]:
    """Yield the pieces of text objects, given as runs with the indices of their characters."""
    letters: list[str] = []
    start = end = 0.0
    spaced = was_spaced = False
    before: _Run | None = None
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
                spaced = True
                continue
            apart = x0 - end
            if letters and (apart > gap or apart < -run.size or (spaced and apart > least)):
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
            spaced = False
    if letters and before is not None:
        yield Piece("".join(letters), start, end, before.y, before.size, before.font, was_spaced)


def _is_invisible(item: Any) -> bool:  # noqa: ANN401 - PDFium's handle
    """Return whether a text object is not drawn, as the text layer of a scan is, or drawn in white."""
    if pdfium.FPDFTextObj_GetTextRenderMode(item) == pdfium.FPDF_TEXTRENDERMODE_INVISIBLE:
        return True
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    known = pdfium.FPDFPageObj_GetFillColor(item, red, green, blue, alpha)
    return bool(known) and min(red.value, green.value, blue.value) > 250


def _visible(groups: list[tuple[_Run, list[int]]]) -> list[tuple[_Run, list[int]]]:
    """Return the text objects that a person sees; all, where most are hidden: a scan, a dark slide."""
    hidden = sum(len(indices) for run, indices in groups if run.hidden)
    most = 2 * hidden > sum(len(indices) for _, indices in groups)
    return groups if most else [(run, indices) for run, indices in groups if not run.hidden]


def _area(page: Any, turn: int) -> tuple[float, float, float, float]:  # noqa: ANN401 - PDFium's handle
    """Return left, right, lowest and highest place of a page along the writing direction."""
    box = pdfium.FS_RECTF()
    pdfium.FPDF_GetPageBoundingBox(page, box)
    left, low, right, high = box.left, box.bottom, box.right, box.top
    return {
        1: (low, high, -right, -left),
        2: (-right, -left, -high, -low),
        3: (-high, -low, left, right),
    }.get(turn, (left, right, low, high))


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


def _run(text: Any, key: int, index: int) -> _Run:  # noqa: ANN401
    """Return the look of the text object at the address ``key``, whose first character has ``index``."""
    item = ctypes.cast(key, pdfium.FPDF_PAGEOBJECT)
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFText_GetMatrix(text, index, matrix)
    x, y = ctypes.c_double(), ctypes.c_double()
    pdfium.FPDFText_GetCharOrigin(text, index, x, y)
    size = ctypes.c_float()
    pdfium.FPDFTextObj_GetFontSize(item, size)
    across, up = abs(matrix.a) + abs(matrix.b), abs(matrix.c) + abs(matrix.d)
    flat, steep = abs(matrix.a), abs(matrix.b)
    turn = (0 if matrix.a >= 0 else 2) if flat >= steep else (1 if matrix.b > 0 else 3)
    if min(flat, steep) > 0.1 * max(flat, steep):
        turn = _SLANTED  # a watermark across the page
    handle = pdfium.FPDFTextObj_GetFont(item)
    name = ctypes.create_string_buffer(256)
    pdfium.FPDFFont_GetBaseFontName(handle, name, 256)
    flags = pdfium.FPDFFont_GetFlags(handle)
    font = _font(name.value.decode(errors="replace"), flags > 0 and bool(flags & 1 << 18))
    hangs = font.large or (font.math and pdfium.FPDFText_GetUnicode(text, index) == ord("√"))
    high = size.value * (up or across)
    place = {1: -x.value, 2: -y.value, 3: x.value}.get(turn, y.value)
    return _Run(
        font=font,
        size=max(high, 0.1),
        y=place - _HANG * high * hangs,
        turn=turn,
        hidden=high < _SMALLEST or _is_invisible(item),
    )
