"""Fill frames on pages with paragraphs: line breaks, hyphens, columns, footnotes, line numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pages import Run, Sheet, Style, Word, width, word_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOTE = re.compile(r"\{(\d+)\}$")
"""The mark of a footnote at the end of a word."""
_HYPHEN = re.compile(r"(?<=[aeiou])(?=[bcdfghjklmnprstvwxz][aeiou])")
_VOWEL = re.compile("[aeiou]")


@dataclass(kw_only=True)
class Frame:
    """A rectangle that text flows into, from ``top`` down to ``bottom``."""

    sheet: Sheet
    x: float
    top: float
    bottom: float
    wide: float
    notes: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Composer:
    """Sets blocks one after the other into frames."""

    frames: Iterator[Frame]
    note_style: Style
    notes: list[str] = field(default_factory=list)
    """The texts of the footnotes, in order."""
    numbered_every: int = 0
    """Number every so many lines in the left margin; 0 numbers none."""
    hyphens: bool = True
    _lines: int = 0
    _frame: Frame | None = None
    _y: float = 0

    def block(self, text: str, style: Style, *, bullet: str = "") -> None:
        """Set a paragraph, or a heading where ``style`` is centred or bold."""
        frame = self._room(style.before + 2 * style.leading)
        if self._y < frame.top:
            self._y -= style.before
        words = [_word(part, style) for part in text.split()]
        first, room = style.indent, frame.wide
        ragged = style.centred or "Bold" in style.font
        while words:
            line, words = self._break(words, room - first, style, hyphens=not ragged)
            if not words or ragged:
                gap = width(" ", style)
            else:
                gap = (room - first - sum(map(word_width, line))) / max(1, len(line) - 1)
            frame = self._room(style.leading)
            self._reserve(line, frame)
            self._y -= style.leading
            used = sum(map(word_width, line)) + gap * (len(line) - 1)
            x = frame.x + (first if not style.centred else (frame.wide - used) / 2)
            frame.sheet.line(x, self._y, line, gap)
            if bullet:
                frame.sheet.text(frame.x, self._y, bullet, style)
            bullet, first = "", style.indent if style.hanging else 0
            self._number(frame)

    def space(self, high: float, draw: Callable[[Sheet, float, float, float], None]) -> None:
        """Reserve a space and call ``draw`` with the sheet, its left edge, its top and its width."""
        frame = self._room(high)
        draw(frame.sheet, frame.x, self._y, frame.wide)
        self._y -= high

    def next_frame(self) -> Frame:
        """Finish the frame and go to the next one."""
        self.finish()
        self._frame = next(self.frames)
        self._y = self._frame.top
        return self._frame

    def finish(self) -> None:
        """Set the footnotes of the current frame at its foot."""
        frame = self._frame
        if frame is None or not frame.notes:
            return
        y = frame.bottom
        frame.sheet.rule(frame.x, y - 4, frame.wide / 3)
        y -= 4
        for text in frame.notes:
            number, _, rest = text.partition(" ")
            mark = Run(text=number, style=replace(self.note_style, size=5.5), rise=3)
            words = [_word(part, self.note_style) for part in rest.split()]
            words[0].insert(0, mark)
            while words:
                line, words = self._break(words, frame.wide, self.note_style, hyphens=False)
                y -= self.note_style.leading
                frame.sheet.line(frame.x, y, line, width(" ", self.note_style))

    def _room(self, high: float) -> Frame:
        if self._frame is None or self._y - high < self._frame.bottom:
            return self.next_frame()
        return self._frame

    def _reserve(self, line: list[Word], frame: Frame) -> None:
        """Add the footnotes that a line marks to the frame, and take their room from it."""
        for word in line:
            if word[-1].rise > 0 and word[-1].text.isdecimal():
                note = f"{word[-1].text} {self.notes[int(word[-1].text) - 1]}"
                frame.notes.append(note)
                rows = width(note, self.note_style) // (0.93 * frame.wide) + 1
                frame.bottom += rows * self.note_style.leading + (8 if len(frame.notes) == 1 else 0)

    def _number(self, frame: Frame) -> None:
        self._lines += 1
        if self.numbered_every and self._lines % self.numbered_every == 0:
            style = Style(font="Helvetica", size=6)
            frame.sheet.text(frame.x - 24, self._y, str(self._lines), style)

    def _break(
        self, words: list[Word], room: float, style: Style, *, hyphens: bool
    ) -> tuple[list[Word], list[Word]]:
        """Return the words of the next line and those that are left."""
        space = width(" ", style)
        used, count = 0.0, 0
        while count < len(words):
            more = word_width(words[count]) + (space if count else 0)
            if used + more > room and count:
                break
            used += more
            count += 1
        if count < len(words) and hyphens and self.hyphens and room - used > 0.1 * room:
            halves = _halves(words[count], room - used - space)
            if halves:
                return [*words[:count], halves[0]], [halves[1], *words[count + 1 :]]
        return words[:count], words[count:]


def _word(text: str, style: Style) -> Word:
    match = NOTE.search(text)
    if match is None:
        return [Run(text=text, style=style)]
    mark = Run(text=match[1], style=replace(style, size=style.size * 0.7), rise=style.size * 0.35)
    return [Run(text=text[: match.start()], style=style), mark]


def _halves(word: Word, room: float) -> tuple[Word, Word] | None:
    """Return a word cut at a syllable, with a hyphen, so that the first half fits into ``room``."""
    run = word[0]
    letters = run.text.rstrip(".,")
    if not (letters.isascii() and letters.isalpha()):
        return None
    for match in reversed(list(_HYPHEN.finditer(letters))):
        cut = match.start()
        if cut < 2 or len(letters) - cut < 3 or not _VOWEL.search(letters[:cut]):
            continue
        head = [replace(run, text=f"{run.text[:cut]}-")]
        if word_width(head) <= room:
            return head, [replace(run, text=run.text[cut:]), *word[1:]]
    return None
