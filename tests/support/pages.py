"""Set type on PDF pages with the real metrics of the standard fonts, without a PDF library.

A line is shown in one of two ways. With ``spaces`` it holds space characters and word spacing, as a
word processor writes it. Without, the words are moved apart and kerned inside one ``TJ`` array, with
ligatures and no space character, as TeX writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import matplotlib as mpl
import pdfs

FONTS = ("Times-Roman", "Times-Bold", "Times-Italic", "Helvetica", "Helvetica-Bold")
_NAMES = {"quotesingle": "'", "grave": "`", "bullet": "•", "endash": "–", "quoteright": "’"} | {
    "emdash": "—",
    "plusminus": "±",
    "multiply": "×",
}
_LIGATURES = {"fi": "\x01", "fl": "\x02"}
_BY_NAME = {**_NAMES, **_LIGATURES}


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Advance widths and kerning of one font, in thousandths of the size."""

    widths: dict[str, int]
    kerning: dict[str, int]
    """Pair of characters → move."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How text is set."""

    font: str = "Times-Roman"
    size: float = 10
    leading: float = 12
    spaces: bool = False
    """Space characters, no kerning, no ligatures."""
    before: float = 0
    """Space above a block, in points."""
    indent: float = 0
    hanging: bool = False
    """Every line is indented, and not only the first."""
    centred: bool = False


@dataclass(frozen=True, kw_only=True)
class Run:
    """A piece of a word in one style; ``rise`` lifts it above the baseline, in points."""

    text: str
    style: Style
    rise: float = 0


Word = list[Run]


@cache
def metrics(font: str) -> Metrics:
    """Return the metrics of a standard font, from the AFM files that come with matplotlib."""
    path = Path(mpl.get_data_path()) / "fonts/pdfcorefonts" / f"{font}.afm"
    text = path.read_text(encoding="latin-1")
    characters: dict[str, str] = dict(_BY_NAME)
    widths = {}
    for code, width, name in re.findall(r"^C (-?\d+) ; WX (\d+) ; N (\w+)", text, re.MULTILINE):
        if name not in characters and 32 <= int(code) < 127:
            characters[name] = chr(int(code))
        if name in characters:
            widths[characters[name]] = int(width)
    kerning = {
        characters[one] + characters[other]: int(move)
        for one, other, move in re.findall(r"^KPX (\w+) (\w+) (-?\d+)", text, re.MULTILINE)
        if one in characters and other in characters
    }
    return Metrics(widths=widths, kerning=kerning)


def shown(text: str, style: Style) -> str:
    """Return ``text`` with the ligatures that the style has."""
    if style.spaces:
        return text
    for letters, glyph in _LIGATURES.items():
        text = text.replace(letters, glyph)
    return text


def width(text: str, style: Style) -> float:
    """Return the width of ``text`` in points."""
    text, table = shown(text, style), metrics(style.font)
    total = sum(table.widths[character] for character in text)
    if not style.spaces:
        total += sum(table.kerning.get(text[i : i + 2], 0) for i in range(len(text) - 1))
    return total * style.size / 1000


def word_width(word: Word) -> float:
    """Return the width of a word in points."""
    return sum(width(run.text, run.style) for run in word)


@dataclass(kw_only=True)
class Sheet:
    """One page under construction; the origin is the lower left corner."""

    size: tuple[int, int] = (595, 842)
    operators: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, style: Style) -> None:
        """Show one line that begins at ``x``."""
        words = [[Run(text=part, style=style)] for part in text.split(" ")]
        self.line(x, y, words, width(" ", style))

    def line(self, x: float, y: float, words: list[Word], gap: float) -> None:
        """Show a line of words that stand ``gap`` points apart."""
        how: tuple[Style, float] | None = None
        start, pending = x, [""]
        for number, word in enumerate(words):
            if number:
                x += gap
                pending.append("")
            for run in word:
                if (run.style, run.rise) != how:
                    self._show(start, y, pending, how, gap)
                    start, pending, how = x, [""], (run.style, run.rise)
                pending[-1] += run.text
                x += width(run.text, run.style)
        self._show(start, y, pending, how, gap)

    def box(self, x: float, y: float, wide: float, high: float) -> None:
        """Draw a frame."""
        self.operators.append(f"{x:.2f} {y:.2f} {wide:.2f} {high:.2f} re S")

    def rule(self, x: float, y: float, wide: float) -> None:
        """Draw a horizontal line."""
        self.operators.append(f"{x:.2f} {y:.2f} m {x + wide:.2f} {y:.2f} l S")

    def _show(
        self, x: float, y: float, words: list[str], how: tuple[Style, float] | None, gap: float
    ) -> None:
        if how is None or not any(words):
            return
        style, rise = how
        font = f"/F{FONTS.index(style.font)} {style.size:g} Tf"
        head = f"BT {font} {rise:g} Ts 1 0 0 1 {x:.3f} {y:.3f} Tm"
        if style.spaces:
            extra = gap - width(" ", style)
            self.operators.append(f"{head} {extra:.3f} Tw ({_escape(' '.join(words))}) Tj 0 Tw ET")
            return
        move = f" {-gap * 1000 / style.size:.0f} "
        array = move.join(_kerned(shown(word, style), style) for word in words)
        self.operators.append(f"{head} [{array}] TJ ET")


def _kerned(text: str, style: Style) -> str:
    kerning = metrics(style.font).kerning
    parts, start = [], 0
    for i in range(len(text) - 1):
        if move := kerning.get(text[i : i + 2]):
            parts.append(f"({_escape(text[start : i + 1])}) {-move} ")
            start = i + 1
    return "".join(parts) + (f"({_escape(text[start:])})" if text[start:] else "")


def _escape(text: str) -> str:
    return re.sub(r"([\\()])", r"\\\1", text)


def pdf(sheets: list[Sheet], *, title: str = "") -> bytes:
    """Return the file with these pages."""
    first = 3 + len(FONTS)
    kids = b" ".join(b"%d 0 R" % (first + 2 * index) for index in range(len(sheets)))
    fonts = b" ".join(b"/F%d %d 0 R" % (index, 3 + index) for index in range(len(FONTS)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(sheets)),
        *map(_font, FONTS),
    ]
    for index, sheet in enumerate(sheets):
        content = "\n".join(sheet.operators).encode("cp1252")
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R"
            b" /Resources << /Font << %s >> >> >>" % (*sheet.size, first + 2 * index + 1, fonts),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        ]
    return pdfs.assemble(objects, info=b"/Title (%s)" % title.encode("latin-1"))


def _font(name: str) -> bytes:
    widths = metrics(name).widths
    row = " ".join(
        str(widths.get(bytes([code]).decode("cp1252", "replace"), 0)) for code in range(1, 256)
    )
    return (
        f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /FirstChar 1 /LastChar 255 /Widths [{row}]"
        " /Encoding << /Type /Encoding /BaseEncoding /WinAnsiEncoding /Differences [1 /fi /fl] >> >>"
    ).encode("ascii")
