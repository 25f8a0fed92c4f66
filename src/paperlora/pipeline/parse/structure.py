"""Divide the lines of a paper into sections and paragraphs of prose.

The rules use the text only, so they work with every extractor:

- Everything before the abstract (names, addresses) and the list of references is left out. An
  appendix after the references is kept, because the authors wrote it as prose too.
- A paragraph ends with a sentence whose last line is clearly shorter than the others. Formulas and
  figures are left out (see ``prose``) and do not end a paragraph: it continues with the next prose,
  also on the next page. Captions and footnotes are paragraphs of their own; the paragraph that they
  interrupt continues after them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from paperlora.pipeline.parse.clean import Line
from paperlora.pipeline.parse.headings import (
    Headings,
    inline_abstract,
    is_abstract,
    is_appendix,
    is_numbered,
    is_references,
    is_title,
)
from paperlora.pipeline.parse.prose import (
    CAPTION,
    FOOTNOTE,
    ITEM,
    LETTERS,
    LineLengths,
    ends_sentence,
    is_open,
    prose,
)

_HEADING = 0.4  # share of the usual line length: shorter headings have no second line
_MIN_WORDS = 8  # a paragraph with fewer is a label of a figure


@dataclass(kw_only=True)
class Paragraph:
    """Lines that belong together, under the heading ``section`` ("" before the first heading)."""

    section: str
    lines: list[Line] = field(default_factory=list)
    aside: bool = False
    """Whether the paragraph is a caption or a footnote."""


def body(lines: list[Line]) -> list[Line]:
    """Return the lines from the abstract (or introduction) to the references, and the appendix."""
    abstract = (i for i, line in enumerate(lines) if line.page <= 2 and is_abstract(line.text))
    introduction = (
        i for i, line in enumerate(lines) if line.page == 1 and _is_introduction(line.text)
    )
    start = next(abstract, next(introduction, 0))
    kept: list[Line] = []
    references = False
    for line in lines[start:]:
        references = is_references(line.text) or (references and not is_appendix(line.text))
        if not references:
            kept.append(line)
    return kept


def _is_introduction(text: str) -> bool:
    # "1 Introduction", "I. INTRODUCTION" and "I NTRODUCTION": strip the number, and the I with it.
    return text.casefold().lstrip("0123456789i. ").rstrip(".:").replace(" ", "") == "ntroduction"


def first_title(lines: list[Line]) -> str:
    """Return the title from the first page, or ""."""
    for i, line in enumerate(lines[:10]):
        if line.page == 1 and " " in line.text and is_title(line.text):
            following = lines[i + 1].text if is_open(line.text) and i + 1 < len(lines) else ""
            return join_heading(line.text, following) if following else line.text
    return ""


def paragraphs(lines: list[Line]) -> list[Paragraph]:
    """Group the lines of ``body`` into paragraphs under their section headings, prose only."""
    lengths = LineLengths(lines)
    assembly = Assembly(lengths)
    headings = Headings()
    kept = prose(lines)
    rest = iter(range(len(lines)))
    for i in rest:
        line = lines[i]
        text_start = inline_abstract(line.text)
        heading = "Abstract" if text_start else headings.match(line.text)
        if heading and not text_start and _has_second_line(lines, i, lengths):
            heading = join_heading(heading, lines[next(rest)].text)
        if heading:
            assembly.start_section(heading)
            line = Line(page=line.page, text=line.text[text_start:])
        if text_start or (kept[i] and not heading):
            assembly.add(line)
    return [
        paragraph
        for paragraph in assembly.done
        if sum(len(LETTERS.findall(line.text)) for line in paragraph.lines) >= _MIN_WORDS
    ]


def _has_second_line(lines: list[Line], index: int, lengths: LineLengths) -> bool:
    """Return whether the heading at ``index`` continues on the next line: "… Internal / Shift"."""
    if index + 2 >= len(lines) or len(lines[index].text.split()) < 3:
        return False
    following = lines[index + 1]
    if is_numbered(following.text):
        return False
    if is_open(lines[index].text):
        return True
    words = [word for word in LETTERS.findall(following.text) if len(word) > 3]
    return (
        lengths.is_short(following)
        and not lengths.is_short(lines[index], _HEADING)
        and not lengths.is_short(lines[index + 2])
        and (following.text[0].islower() or all(word[0].isupper() for word in words))
        and is_title(following.text)
    )


def join_heading(first: str, second: str) -> str:
    """Join the two lines of a heading; a hyphen before a capital is a real one."""
    if first.endswith("-"):
        return (first if second[0].isupper() else first[:-1]) + second
    return f"{first} {second}"


class Assembly:
    """Build the paragraphs line by line; a caption or footnote (an aside) may interrupt one."""

    def __init__(self, lengths: LineLengths) -> None:
        """Start with one empty paragraph before the first section."""
        self._lengths = lengths
        self._now = Paragraph(section="")
        self._interrupted: Paragraph | None = None
        self.done = [self._now]

    def start_section(self, heading: str) -> None:
        """Begin the section ``heading``."""
        self._interrupted = None
        self._open(heading, aside=False)

    def add(self, line: Line) -> None:
        """Add ``line`` to the current paragraph, to the interrupted one or to a new one."""
        now = self._now
        if self._is_aside(line):
            if now.lines and not now.aside and not ends_sentence(now.lines[-1].text):
                self._interrupted = now
            self._open(now.section, aside=True)
        elif now.aside and self._interrupted and self._ends(now, line):
            self._now, self._interrupted = self._interrupted, None
        elif self._breaks(line):
            self._open(now.section, aside=False)
        self._now.lines.append(line)

    def _open(self, section: str, *, aside: bool) -> None:
        self._now = Paragraph(section=section, aside=aside)
        self.done.append(self._now)

    def _is_aside(self, line: Line) -> bool:
        """Return whether ``line`` begins a caption or footnote.

        In "Table 2 and / Fig. 4.", the second line does not: the first one is open.
        """
        last = self._now.lines[-1] if self._now.lines else None
        if last and is_open(last.text) and last.page == line.page:
            return False
        return bool(CAPTION.match(line.text) or FOOTNOTE.match(line.text))

    def _ends(self, aside: Paragraph, line: Line) -> bool:
        """Return whether ``aside`` is over before ``line``."""
        last = aside.lines[-1]
        short = not self._lengths.is_full(last)
        return ends_sentence(last.text) and (short or not line.text[0].isupper())

    def _breaks(self, line: Line) -> bool:
        """Return whether ``line`` begins a new paragraph."""
        if not self._now.lines:
            return False
        last = self._now.lines[-1]
        if ITEM.match(line.text) and not line.text[0].isalpha():
            return ends_sentence(last.text) or last.text[-1] in ";,"
        return (
            ends_sentence(last.text)
            and not self._lengths.is_full(last)
            and not line.text[0].islower()
        )
