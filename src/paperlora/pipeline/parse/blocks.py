"""Group the lines of a paper into blocks of one look, and tell prose, tables and numbers apart."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from paperlora.pipeline.text import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperlora.pipeline.parse.lines import Line

CAPTION = re.compile(
    r"(?:extended data |supplementary |supplemental )?"
    r"(?:fig(?:ure|s?\.)|table|tab\.|algorithm|listing|scheme|plate|box|chart)\s*"
    r"(?:[A-Z]{1,2}[.-]?)?(?:\d+|[IVX]+)(?:[.-]\d+)*[a-z]?\s*(?P<end>[.:|–—]|$)?",
    re.IGNORECASE,
)
NOTICE = re.compile(
    r"^(?:©|\(c\) ?\d{4}|copyright\b)|all rights reserved|licen[sc]ed under|creative commons"
    r"|^(?:index terms|key ?words(?: and phrases)?|ccs concepts|general terms)\s*[-—–:.]"
    r"|^permission to (?:make|copy|reprint)|^preprint\b|^to appear in |^(?:published|under review) as a ",
    re.IGNORECASE,
)
NAMED = re.compile(
    r"(?:abstract|introduction|background|preliminaries|related works?|prior work|methods?"
    r"|methodology|materials and methods|methods and materials|data|experiments?|experimental setup"
    r"|evaluation|results?|results and discussion|discussion|discussion and conclusions?|limitations"
    r"|conclusions?|conclusions? and (?:future work|discussion|outlook)|future work|summary"
    r"|acknowledge?ments?|broader impact|ethics statement|data availability|code availability"
    r"|availability|funding|competing interests|conflicts? of interest|author contributions"
    r"|supplementary (?:materials?|information)|supporting information|appendix|appendices"
    r"|references(?: and notes)?|bibliography|literature cited|works cited|keywords|contents)[.:]?",
    re.IGNORECASE,
)
NUMBERED = re.compile(
    r"(?P<number>(?:(?:[Aa]ppendix|APPENDIX|[Ss]ection|SECTION|[Cc]hapter|CHAPTER)\s+)?"
    r"(?:\d{1,2}(?:\.\d{1,2}){0,3}|[A-Z](?:\.\d{1,2}){1,3}|[A-Z]|[IVX]{1,5}))"
    r"(?:[.:)]\s*|\s+)(?P<title>\S.*)"
)
_LETTERS = re.compile(r"[^\W\d_]{3,}")


@dataclass(slots=True)
class Block:
    """Lines of one look, one under the other."""

    lines: list[Line]
    role: str = "text"
    """text, heading, caption, table, figure, note, reference, formula, front, contents, running."""
    level: str = ""
    """The text of a heading."""

    @property
    def text(self) -> str:
        """The lines with spaces between them."""
        return " ".join(line.text for line in self.lines)

    @property
    def family(self) -> str:
        """The font family of its first letters."""
        return family(self.lines[0].pieces[0].font.name)

    @property
    def size(self) -> float:
        """The font size of its first line."""
        return self.lines[0].size


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the text of a paper looks in general."""

    size: float
    """The font size of most letters."""
    leading: float
    """The usual distance of two baselines, in units of the font size."""
    families: frozenset[str]
    """The font families of most letters of that size."""


def look_of(pages: Sequence[Sequence[Line]]) -> Look:
    """Return the usual look of a paper."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page:
            if line.cells == 1:
                sizes[round(line.size, 1)] += len(line.text)
    size = sizes.most_common(1)[0][0] if sizes else 10.0
    families: Counter[str] = Counter()
    gaps: Counter[float] = Counter()
    for page in pages:
        for before, line in pairwise(page):
            if abs(line.size - size) < 0.06 * size:
                for piece in line.pieces:
                    families[family(piece.font.name)] += len(piece.text)
                if before.column == line.column and 0 < before.y - line.y < 3 * size:
                    gaps[round((before.y - line.y) / size, 1)] += 1
    total = sum(families.values())
    return Look(
        size=size,
        leading=gaps.most_common(1)[0][0] if gaps else 1.2,
        families=frozenset(name for name, count in families.items() if count > 0.1 * total),
    )


def family(name: str) -> str:
    """Return a font's family: its name without style and size; all of Computer Modern is one."""
    plain = re.split(r"[-,]|\d", name)[0].casefold()
    return "cm" if re.match(r"(?:cm|sf|lm)[a-z]", plain) else plain


def blocks_of(lines: Sequence[Line], look: Look) -> list[Block]:
    """Return the lines of a page as blocks: one look, usual distance, one column."""
    blocks: list[Block] = []
    for line in lines:
        last = blocks[-1].lines[-1] if blocks else None
        if last is not None and _follows(last, line, look):
            blocks[-1].lines.append(line)
        else:
            blocks.append(Block([line]))
    return blocks


def _follows(last: Line, line: Line, look: Look) -> bool:
    gap = last.y - line.y
    size = max(last.size, line.size)
    if last.formula and line.formula:
        return last.column == line.column and 0 <= gap < 4 * size
    if last.formula or line.formula:
        return False
    return (
        last.column == line.column
        and 0 < gap <= 1.3 * look.leading * size
        and (abs(last.size - line.size) <= 0.07 * size or _runs_on(last, line, gap, look))
        and last.bold == line.bold
        and (last.italic == line.italic or (line.page > 1 and not _is_item(last)))
        and (_in_capitals(last) == _in_capitals(line) or line.page > 1)
        and not _is_named(last)
        and not NOTICE.match(line.text)
        and not _is_named(line)
        and not (CAPTION.match(line.text) and gap > 1.1 * look.leading * size)
    )


def _in_capitals(line: Line) -> bool:
    return line.text.isupper() and sum(map(str.isalpha, line.text)) > 5


def _is_item(line: Line) -> bool:
    """Return whether a line in italics is short and numbered, as a small heading is."""
    left, right = line.column
    short = line.x1 - line.x0 < 0.8 * (right - left)
    return line.italic and short and bool(NUMBERED.fullmatch(line.text))


def _is_named(line: Line) -> bool:
    """Return whether a line is a usual heading and nothing else, whatever its look."""
    left, right = line.column
    return (
        line.x1 - line.x0 < 0.6 * (right - left)
        and is_usual(line.text.strip())
        and (line.text[:1].isupper() or line.text[:1].isdigit())
    )


def _runs_on(last: Line, line: Line, gap: float, look: Look) -> bool:
    """Return whether a line in another size is the rest of a full one, such as a web address."""
    left, right = line.column
    return (
        gap < 1.1 * look.leading * look.size
        and abs(last.size - line.size) <= 0.15 * last.size
        and last.x1 > right - 2 * last.size
        and abs(line.x0 - last.x0) < 0.3 * line.size
        and not last.text.endswith((".", ":"))
        and line.x0 < left + 2 * line.size
    )


def is_usual(title: str) -> bool:
    """Return whether a heading, with or without a number, is one that many papers have."""
    numbered = NUMBERED.fullmatch(title)
    return bool(NAMED.fullmatch(numbered["title"] if numbered else title))


def is_table(block: Block) -> bool:
    """Return whether a block is rows of cells."""
    rows = sum(line.cells > 1 for line in block.lines)
    many = sum(line.cells > 2 for line in block.lines)
    return rows > 0.5 * len(block.lines) and (many > 0 or len(block.lines) > 1)


def is_numeric(block: Block) -> bool:
    """Return whether a block is mostly numbers."""
    text = block.text.replace(" ", "")
    digits = sum(c.isdigit() for c in text)
    letters = sum(c.isalpha() for c in text)
    return digits > 5 and digits > 0.35 * len(text) and letters < 0.3 * len(text)


def is_prose(block: Block) -> bool:
    """Return whether a block reads as sentences: long lines, mostly letters."""
    text = block.text
    words = _LETTERS.findall(text)
    letters = sum(map(len, words))
    tokens = text.casefold().split()
    small = sum(token in STOP_WORDS for token in tokens)
    return (
        letters > 0.5 * len(text.replace(" ", "") or "x")
        and len(words) >= 5 * min(len(block.lines), 2)
        and len(tokens) / len(block.lines) >= 4
        and small >= 0.15 * len(tokens)
    )
