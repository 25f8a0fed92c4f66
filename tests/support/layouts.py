"""Papers in nine layouts, made from a seed, each with the truth about what it holds.

One column · two columns · a journal with its methods after the references · line numbers on each line
and on each fifth line · footnotes in two columns · bold headings without numbers · a contents page ·
slides. The words are made up for this project (see ``sentences``).
"""

from __future__ import annotations

from dataclasses import replace

from manuscript import Layout, Manuscript
from pages import Style

TEX = Style(size=10, leading=12, indent=12)
"""Body text as TeX sets it: no space characters, kerned."""
OFFICE = Style(font="Helvetica", size=10, leading=13, spaces=True, before=6)
"""Body text as a word processor sets it."""


def every() -> list[Layout]:
    """Return all layouts, in a fixed order."""
    return [
        one_column(1),
        two_columns(2),
        methods_last(3),
        line_numbers(4, every=1),
        line_numbers(5, every=5),
        footnotes(6),
        bold_headings(7),
        contents(8),
        slides(9),
    ]


def one_column(seed: int) -> Layout:
    """Return a paper as TeX's article class sets it: numbered sections, a page number at the foot."""
    made = Manuscript("one-column", seed, TEX)
    made.head(abstract="heading")
    made.sections(7, numbered=True)
    made.reference_list(8)
    return made.finish()


def two_columns(seed: int) -> Layout:
    """Return a conference paper with a figure over both columns and a table in one of them."""
    made = Manuscript(
        "two-columns", seed, TEX, columns=2, running="Proceedings of the Seventh Meeting"
    )
    made.figure_on_page = 2
    made.head(abstract="heading")
    made.sections(5, numbered=True)
    made.table()
    made.sections(5, numbered=True)
    made.reference_list(12)
    return made.finish()


def methods_last(seed: int) -> Layout:
    """Return a journal article: abstract without heading, methods after the references."""
    made = Manuscript(
        "methods-last", seed, TEX, columns=2, running="Annals of Slow Research | Article"
    )
    made.head(abstract="bold")
    made.sections(9)
    made.reference_list(10)
    made.heading("Methods")
    made.paragraph(5)
    made.sections(3)
    return made.finish()


def line_numbers(seed: int, *, every: int) -> Layout:
    """Return a manuscript under review, with the number of every so many lines in the margin."""
    style = replace(OFFICE, font="Times-Roman", size=11, leading=20)
    made = Manuscript(f"line-numbers-{every}", seed, style)
    made.composer.numbered_every = every
    made.composer.hyphens = False
    made.head(abstract="heading")
    made.sections(4)
    made.reference_list(5)
    return made.finish()


def footnotes(seed: int) -> Layout:
    """Return a paper in two columns with footnotes, whose marks touch the words."""
    made = Manuscript("footnotes", seed, TEX, columns=2)
    made.head(abstract="heading")
    made.notes_every = 2
    made.sections(11, numbered=True)
    made.reference_list(6)
    return made.finish()


def bold_headings(seed: int) -> Layout:
    """Return a report whose headings are bold, of the size of the text and without numbers."""
    made = Manuscript("bold-headings", seed, OFFICE, heading=replace(OFFICE, font="Helvetica-Bold"))
    made.head(abstract="heading")
    made.sections(6)
    made.reference_list(6)
    return made.finish()


def contents(seed: int) -> Layout:
    """Return a report with a contents page between the title page and the text."""
    made = Manuscript("contents", seed, OFFICE)
    made.head(abstract="heading")
    made.contents_page = made.new_page()
    made.new_page()
    made.sections(9, numbered=True)
    made.reference_list(5)
    return made.finish()


def slides(seed: int) -> Layout:
    """Return a talk: landscape pages with a title and a few points each."""
    body = replace(OFFICE, size=18, leading=24, indent=26, before=12, hanging=True)
    made = Manuscript(
        "slides",
        seed,
        body,
        size=(842, 595),
        heading=replace(OFFICE, font="Helvetica-Bold", size=26, leading=34),
    )
    made.composer.hyphens = False
    made.head(abstract="")
    for _ in range(8):
        made.new_page()
        made.heading(made.writer.heading())
        for _ in range(3):
            point = made.writer.sentence()
            made.truth.paragraphs.append(point)
            made.composer.block(point, body, bullet="•")
    return made.finish()
