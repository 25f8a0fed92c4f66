"""Read the look and the place of PDFium's text objects: font, size, baseline, direction, colour."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

_SMALLEST = 1.5  # points; nobody reads smaller letters
_THIN = 1.5  # points
SLANTED = 4
_BOLD = re.compile(
    r"bold|black|heavy|semib|demi|medi$|medi[^u]|[-,]bd|cmbx|sfbx|\bbx", re.IGNORECASE
)
_ITALIC = re.compile(r"ital|obli|slant|-it\b|cmti|cmsl|sfti|[a-z]it$", re.IGNORECASE)
_MATH = re.compile(
    r"^(?:cm(?:mi|sy|ex|bsy|mib)|lmmath|ms[ab]m|mt2?(?:mi|sy|ex)|rmtmi|[tp]xb?(?:mi|sy|ex)|rsfs|euf|eus"
    r"|stmary|wasy|esint|ntx|newtx|zplm)|math(?!ematicalpi)|symbol|mathematicalpi|euclid|cambriamath",
    re.IGNORECASE,
)
# The font of large signs: letters are its own codes, and its glyphs hang from the baseline.
_EXTENSION = re.compile(r"^(?:cmex|lmmathext|mtex|txex|pxex)", re.IGNORECASE)
_HANG = 0.85  # em


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


class Look(NamedTuple):
    """Look and place of the letters of one text object."""

    font: Font
    size: float
    """In points, as it appears on the page."""
    y: float
    """The baseline, upwards across the writing direction."""
    turn: int
    """Quarter turns of the writing direction, counted anticlockwise."""
    hidden: bool
    """Whether it is drawn white or not at all."""


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


class Bar(NamedTuple):
    """A thin horizontal line that is drawn on a page; coordinates in points, y upwards."""

    x0: float
    x1: float
    y: float


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


def look(text: Any, key: int, index: int) -> Look:  # noqa: ANN401
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
        turn = SLANTED  # a watermark across the page
    handle = pdfium.FPDFTextObj_GetFont(item)
    name = ctypes.create_string_buffer(256)
    pdfium.FPDFFont_GetBaseFontName(handle, name, 256)
    flags = pdfium.FPDFFont_GetFlags(handle)
    font = _font(name.value.decode(errors="replace"), flags > 0 and bool(flags & 1 << 18))
    hangs = font.large or (font.math and pdfium.FPDFText_GetUnicode(text, index) == ord("√"))
    high = size.value * (up or across)
    place = {1: -x.value, 2: -y.value, 3: x.value}.get(turn, y.value)
    return Look(
        font=font,
        size=max(high, 0.1),
        y=place - _HANG * high * hangs,
        turn=turn,
        hidden=high < _SMALLEST or _is_invisible(item),
    )


def _is_invisible(item: Any) -> bool:  # noqa: ANN401 - PDFium's handle
    """Return whether a text object is not drawn, as the text layer of a scan is, or drawn in white."""
    if pdfium.FPDFTextObj_GetTextRenderMode(item) == pdfium.FPDF_TEXTRENDERMODE_INVISIBLE:
        return True
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    known = pdfium.FPDFPageObj_GetFillColor(item, red, green, blue, alpha)
    return bool(known) and min(red.value, green.value, blue.value) > 250


def visible(groups: list[tuple[Look, list[int]]]) -> list[tuple[Look, list[int]]]:
    """Return the text objects that a person sees; all, where most are hidden: a scan, a dark slide."""
    hidden = sum(len(indices) for run, indices in groups if run.hidden)
    most = hidden > 0.7 * sum(len(indices) for _, indices in groups)
    return groups if most else [(run, indices) for run, indices in groups if not run.hidden]


def area(page: Any, turn: int) -> tuple[float, float, float, float]:  # noqa: ANN401 - PDFium's handle
    """Return left, right, lowest and highest place of a page along the writing direction."""
    box = pdfium.FS_RECTF()
    pdfium.FPDF_GetPageBoundingBox(page, box)
    left, low, right, high = box.left, box.bottom, box.right, box.top
    return {
        1: (low, high, -right, -left),
        2: (-right, -left, -high, -low),
        3: (-high, -low, left, right),
    }.get(turn, (left, right, low, high))


def bars(page: Any) -> list[Bar]:  # noqa: ANN401 - PDFium's handle
    """Return the thin horizontal lines of a page."""
    found = []
    for index in range(pdfium.FPDFPage_CountObjects(page)):
        item = pdfium.FPDFPage_GetObject(page, index)
        if pdfium.FPDFPageObj_GetType(item) != pdfium.FPDF_PAGEOBJ_PATH:
            continue
        x0, low, x1, high = (ctypes.c_float() for _ in range(4))
        if pdfium.FPDFPageObj_GetBounds(item, x0, low, x1, high) and high.value - low.value < _THIN:
            found.append(Bar(x0.value, x1.value, high.value))
    return found
