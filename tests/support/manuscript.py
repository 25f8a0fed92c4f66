"""Write a paper into frames and keep the truth about it: title, headings, paragraphs and the rest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from compose import Composer, Frame
from pages import Sheet, Style, pdf, width
from sentences import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTES = Style(size=8, leading=9.5)
SMALL = Style(size=8)


@dataclass(kw_only=True)
class Layout:
    """A paper and the truth about it: what a reader should find, in reading order."""

    name: str
    title: str
    authors: list[str]
    abstract: str = ""
    headings: list[str] = field(default_factory=list)
    """Without their numbers, and without "Abstract" and "References"."""
    paragraphs: list[str] = field(default_factory=list)
    """The body, without the abstract; a slide's points are one paragraph each."""
    captions: list[str] = field(default_factory=list)
    footnotes: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    pdf: bytes = b""

    @property
    def prose(self) -> list[str]:
        """Return the abstract and the paragraphs in reading order."""
        return [*([self.abstract] if self.abstract else []), *self.paragraphs]


class Manuscript:
    """A paper in the making."""

    def __init__(
        self,
        name: str,
        seed: int,
        body: Style,
        *,
        columns: int = 1,
        size: tuple[int, int] = (595, 842),
        running: str = "",
        heading: Style | None = None,
    ) -> None:
        self.writer = Writer(seed)
        self.truth = Layout(
            name=name, title=self.writer.title(), authors=[self.writer.author() for _ in range(3)]
        )
        bold = "Helvetica-Bold" if body.font.startswith("Helvetica") else "Times-Bold"
        self.body = body
        self.title_style = Style(font=bold, size=17, leading=21, spaces=body.spaces, centred=True)
        self.heading_style = heading or Style(font=bold, size=12, leading=16, spaces=body.spaces)
        self.heading_style = replace(self.heading_style, before=10, indent=0)
        self.columns, self.size, self.running = columns, size, running
        self.sheets: list[Sheet] = []
        self.head_room = 0.0
        self.figure_on_page = 0
        self.notes_every = 0
        self.contents_page: Frame | None = None
        self._entries: list[tuple[str, int]] = []
        self._sections = 0
        self.composer = Composer(
            frames=self._frames(), note_style=NOTES, notes=self.truth.footnotes
        )

    def head(self, *, abstract: str) -> None:
        """Set title, authors and abstract; ``abstract`` is ``heading``, ``bold`` or empty for none."""
        wide, high = self.size
        sheet = self._sheet()
        area = Frame(sheet=sheet, x=70, top=high - 80, bottom=0, wide=wide - 140)
        across = Composer(frames=iter([area]), note_style=NOTES)
        across.block(self.truth.title, self.title_style)
        names = replace(self.body, centred=True, indent=0, before=8)
        across.block(", ".join(self.truth.authors), names)
        across.block(f"Institute of {self.writer.heading()}", replace(names, size=9, before=2))
        if abstract:
            self.truth.abstract = self.writer.paragraph(5)
            plain = replace(self.body, indent=0, before=10, centred=False)
            if abstract == "heading":
                across.block("Abstract", replace(self.heading_style, centred=True))
                across.block(self.truth.abstract, replace(plain, before=2))
            else:
                across.block(self.truth.abstract, replace(plain, font="Times-Bold"))
        self.head_room = high - 80 - across._y + 24

    def sections(self, count: int, *, numbered: bool = False) -> None:
        """Set so many sections of two or three paragraphs."""
        for _ in range(count):
            self._sections += 1
            self.heading(self.writer.heading(), f"{self._sections} " if numbered else "")
            for _ in range(2 + self._sections % 2):
                self.paragraph(5)

    def heading(self, text: str, number: str = "") -> None:
        """Set a heading."""
        self.truth.headings.append(text)
        self.composer.block(number + text, self.heading_style)
        self._entries.append((number + text, len(self.sheets)))

    def paragraph(self, sentences: int) -> None:
        """Set a paragraph, with a footnote in it where the paper has some."""
        text = shown = self.writer.paragraph(sentences)
        count = len(self.truth.paragraphs)
        if self.notes_every and count % self.notes_every == 0:
            self.truth.footnotes.append(self.writer.sentence())
            words = text.split()
            words[len(words) // 2] += f"{{{len(self.truth.footnotes)}}}"
            shown = " ".join(words)
        self.truth.paragraphs.append(text)
        self.composer.block(shown, self.body)

    def table(self) -> None:
        """Set a table of four rows with its caption above."""
        caption = f"Table 1: {self.writer.sentence()}"
        self.truth.captions.append(caption)
        self.composer.block(caption, replace(self.body, size=9, leading=11, before=10, indent=0))
        rows = [["site", "depth", "mass", "share"]] + [
            [f"{name}{row}", f"{row * 7.3:.1f}", f"{row * 121}", f"0.{row}4"]
            for row, name in enumerate(("north ", "south ", "east ", "west "), start=1)
        ]

        def draw(sheet: Sheet, x: float, y: float, wide: float) -> None:
            for row, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    sheet.text(
                        x + column * wide / 4, y - 12 - 12 * row, cell, replace(SMALL, size=9)
                    )
            for line in (2, 15, 64):
                sheet.rule(x, y - line, wide)

        self.composer.space(76, draw)

    def reference_list(self, count: int) -> None:
        """Set the references, numbered."""
        self.composer.block("References", self.heading_style)
        for number in range(1, count + 1):
            self.truth.references.append(self.writer.reference())
            entry = f"[{number}] {self.truth.references[-1]}"
            self.composer.block(entry, replace(self.body, size=9, leading=11, indent=0, before=2))

    def new_page(self) -> Frame:
        """Start a new page."""
        page = len(self.sheets)
        while True:
            frame = self.composer.next_frame()
            if len(self.sheets) > page:
                return frame

    def finish(self) -> Layout:
        """Return the paper with its file."""
        self.composer.finish()
        if self.contents_page:
            self._list_contents(self.contents_page)
        self.truth.pdf = pdf(self.sheets)
        return self.truth

    def _list_contents(self, frame: Frame) -> None:
        y = frame.top - 20
        frame.sheet.text(frame.x, y, "Contents", self.heading_style)
        for entry, page in self._entries:
            y -= 18
            frame.sheet.text(frame.x, y, entry, self.body)
            dots = int((frame.wide - width(entry, self.body) - 40) / width(" .", self.body))
            start = frame.x + width(entry, self.body) + 6
            frame.sheet.text(start, y, " ".join("." * dots), self.body)
            frame.sheet.text(frame.x + frame.wide - 12, y, str(page), self.body)

    def _sheet(self) -> Sheet:
        """Return a new page with its running head and its number."""
        wide, high = self.size
        sheet = Sheet(size=self.size)
        self.sheets.append(sheet)
        style = replace(SMALL, spaces=self.body.spaces)
        sheet.text(wide / 2, 36, str(len(self.sheets)), style)
        if self.running:
            sheet.text(70, high - 40, self.running, style)
        return sheet

    def _frames(self) -> Iterator[Frame]:
        wide, high = self.size
        inner = (wide - 120 - 20 * (self.columns - 1)) / self.columns
        while True:
            first = len(self.sheets) == 1 and self.head_room > 0
            sheet = self.sheets[0] if first else self._sheet()
            top = high - 66 - (self.head_room if first else 0)
            self.head_room = 0
            if len(self.sheets) == self.figure_on_page:
                top = self._figure(sheet, top, wide)
            for column in range(self.columns):
                yield Frame(
                    sheet=sheet, x=60 + column * (inner + 20), top=top, bottom=60, wide=inner
                )

    def _figure(self, sheet: Sheet, top: float, wide: float) -> float:
        """Draw a figure over all columns; return the top of the text below its caption."""
        sheet.box(60, top - 120, wide - 120, 110)
        for place, label in enumerate(("input", "valve", "basin", "outlet", "meter")):
            sheet.box(80 + place * 90, top - 80, 60, 30)
            sheet.text(90 + place * 90, top - 68, label, replace(SMALL, font="Helvetica"))
        caption = f"Figure 1: {self.writer.sentence()} {self.writer.sentence()}"
        self.truth.captions.append(caption)
        area = Frame(sheet=sheet, x=60, top=top - 124, bottom=0, wide=wide - 120)
        across = Composer(frames=iter([area]), note_style=NOTES)
        across.block(caption, replace(self.body, size=9, leading=11, indent=0))
        return across._y - 16
