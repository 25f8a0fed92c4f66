"""Clean extracted text: characters, glyph names, running headers and page numbers, broken words.

All functions are pure. They keep lines apart; only ``join`` makes one line of a paragraph's lines.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

_TORN_AT_LIGATURE = re.compile(r"\b([^\W\d_]+) ([ﬀﬁﬂﬃﬄﬅﬆ][^\W\d_]*)")
# Not all characters that NFKC changes: it would also turn "x²" into "x2".
_LIGATURE_OR_MATHEMATICAL_LETTER = re.compile("[ﬀﬁﬂﬃﬄﬅﬆ\U0001d400-\U0001d7ff]")
_PLAIN = str.maketrans({"\u00a0": " ", "\t": " ", "\u00ad": "-", "\u2010": "-", "\u2011": "-"})

# Extractors print the names of glyphs that have no Unicode value. The names in TeX's extension font
# have suffixes, so they are not English words ("summationdisplay"). Other names are words ("minus"):
# they count as glyph names only after a slash.
_GLYPH = re.compile(
    r"/?(?:paren|bracket|brace|floor|ceiling|angbracket)(?:left|right)(?:big|Big|bt|tp|mid|ex)*g*"
    r"|/?(?:summation|product|integral|contintegral|union|intersection|logicaland|logicalor"
    r"|coproduct|circle(?:multiply|plus|dot))(?:display|text)"
    r"|/?(?:radical|slash|backslash)(?:big|Big)g*|/?(?:hat|tilde|check)wid(?:est|er|e)"
    r"|/?(?:vextend|arrow(?:vert|dbl))(?:single|double|bt|tp|ex)"
    r"|(?<![\w./])/(?:arrow|asterisk|infinity|element|minus|equal|plus|bar|dot|period)[a-z]*"
    r"|(?<![\w./])/[CGg]\d{1,3}\b|\(cid:\d+\)"
)
_UNICODE_GLYPH = re.compile(r"/uni([0-9A-F]{4})")
_ARXIV_STAMP = re.compile(r"arXiv:\S+\s*\[[\w.-]+\]\s*\d{1,2} [A-Z][a-z]{2} \d{4}")
_NOTICE = re.compile(
    r"©|\bcopyright\b.*\d{4}|all rights reserved|licen[sc]ed under|creative commons"
    r"|^permission to make|^proceedings of |^(?:published|under review) as a |^preprint\b"
    r"|^to appear in ",
    re.IGNORECASE,
)

# The end of one paragraph glued to the start of the next: "sensitivities.In this". Web addresses do
# not match, because a space follows the capitalised word.
_GLUED_SENTENCES = re.compile(r"(?<=[a-z]{3}[.:])(?=[A-Z][a-z]* )")
# TeX's old fonts set an accent and a letter as two characters: "Erd ˝os".
_ACCENTED = re.compile(r"(?: (?=.?[a-z]))?([´¨˝ˇˆ˚]) ?([A-Za-z])")
_COMBINING = dict(zip("´¨˝ˇˆ˚", "\u0301\u0308\u030b\u030c\u0302\u030a", strict=True))

_EDGE = 3  # lines at the top and at the bottom of a page that may be headers and footers
_DASH = "[-\u2013]?"
_PAGE_NUMBER = re.compile(
    rf"(?:page )?{_DASH}\s*(?:\d{{1,5}}|[ivxl]{{1,6}})\s*{_DASH}(?: of \d+)?", re.IGNORECASE
)
_LAST_DIGITS = re.compile(r"\d{1,4}$")
_BROKEN = re.compile(r"([^\W\d_]+)-$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_HYPHENATED = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of text and its PDF page, from 1."""

    page: int
    text: str


def lines_of(pages: Iterable[str], known: AbstractSet[str]) -> list[Line]:
    """Return the cleaned lines of a paper's pages in order, without running lines and notices."""
    cleaned = [
        [line for line in clean_characters(page, known).split("\n") if line] for page in pages
    ]
    return [
        Line(page=number, text=text)
        for number, page in enumerate(drop_running_lines(cleaned), start=1)
        for text in page
        if not _NOTICE.search(text)
    ]


def clean_characters(text: str, known: AbstractSet[str]) -> str:
    """Replace ligatures by letters; drop control characters, glyph names, arXiv stamps, extra spaces."""
    # First of all, because a ligature is the only sign of where a word was torn.
    text = _TORN_AT_LIGATURE.sub(lambda match: _rejoin(match, known), text)
    text = _spelled_out(text.translate(_PLAIN))
    text = _UNICODE_GLYPH.sub(lambda match: chr(int(match[1], 16)), text)
    # After the glyph codes, which may stand for a control character or half a surrogate pair.
    text = "".join(
        character if character == "\n" or unicodedata.category(character)[0] != "C" else " "
        for character in text.replace("\r\n", "\n").replace("\r", "\n").replace("\u200b", "")
    )
    text = _ARXIV_STAMP.sub("\n", _GLYPH.sub(" ", text))
    text = _ACCENTED.sub(lambda match: match[2] + _COMBINING[match[1]], text)
    text = _GLUED_SENTENCES.sub("\n", text)
    return "\n".join(
        " ".join(line.split()) for line in unicodedata.normalize("NFC", text).split("\n")
    )


def _rejoin(match: re.Match[str], known: AbstractSet[str]) -> str:
    """Join "su ﬃcient", torn because of the widths in some fonts, but not "to ﬁnd"."""
    joined = match[1] + match[2]
    return joined if _spelled_out(joined).casefold() in known else match[0]


def _spelled_out(text: str) -> str:
    return _LIGATURE_OR_MATHEMATICAL_LETTER.sub(
        lambda match: unicodedata.normalize("NFKC", match.group()), text
    )


def drop_running_lines(pages: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the pages without page numbers and without headers and footers that repeat.

    A line is a header or footer when it is among the first or last three lines on at least three
    pages (two, in a paper of up to four pages). Digits may differ.
    """
    pages = _drop_glued_page_numbers(pages)
    edges = ([*page[:_EDGE], *page[max(_EDGE, len(page) - _EDGE) :]] for page in pages)
    counts = Counter(shape for lines in edges for shape in set(map(_shape, lines)))
    often = 2 if len(pages) <= 4 else 3
    return [
        [
            line
            for index, line in enumerate(page)
            if not (
                min(index, len(page) - 1 - index) < _EDGE
                and (_PAGE_NUMBER.fullmatch(line) or counts[_shape(line)] >= often)
            )
        ]
        for page in pages
    ]


def _shape(line: str) -> str:
    return re.sub(r"\d+", "#", line.casefold())


def _drop_glued_page_numbers(pages: Sequence[Sequence[str]]) -> list[list[str]]:
    """Cut page numbers that the extractor glued to the last line of a page ("et al.,84").

    Digits count as a page number only when, on most pages, they go up by one from page to page.
    """
    offsets: Counter[int] = Counter()
    for index, page in enumerate(pages):
        digits = _LAST_DIGITS.search(page[-1]) if page else None
        if digits:
            # In "in 200384", the page number may be 4, 84, 384 or 0384: one of them fits the others.
            tails = {int(digits.group()[start:]) for start in range(len(digits.group()))}
            offsets.update(tail - index for tail in tails)
    offset, count = max(offsets.items(), key=lambda item: (item[1], -item[0]), default=(0, 0))
    if count < 3 or count * 2 < len(pages):
        return [list(page) for page in pages]
    return [
        [*page[:-1], page[-1].removesuffix(str(index + offset))] if page else []
        for index, page in enumerate(pages)
    ]


def join(lines: Iterable[str], known: AbstractSet[str], counts: Counter[str]) -> str:
    """Return a paragraph's lines as one line, and join the words that are broken at line ends.

    ``counts`` says how often each word occurs inside a line of the paper (see ``count_words``).
    """
    joined = ""
    for line in lines:
        left, right = _BROKEN.search(joined), _FIRST_WORD.match(line)
        if left and right:
            joined = joined if _keeps_hyphen(left[1], right[0], known, counts) else joined[:-1]
            joined += line
        else:
            # A hyphen before a digit is a real one: "CIFAR-" "10". After a space it is a dash.
            attached = not joined or (joined.endswith("-") and joined[-2:-1] != " ")
            joined += line if attached else f" {line}"
    return re.sub(r" (?=[,.;:!?)\]])|(?<=[(\[]) ", "", joined)


def _keeps_hyphen(left: str, right: str, known: AbstractSet[str], counts: Counter[str]) -> bool:
    """Return whether a hyphen is a real one ("state-of-the-art"), not a line break ("learn-ing").

    What the paper itself writes elsewhere decides; where it does not, the list of words does.
    """
    if not right[0].islower():
        return True
    left, right = left.casefold(), right.casefold()
    whole, hyphenated = counts[left + right], counts[f"{left}-{right}"]
    if whole != hyphenated:
        return hyphenated > whole
    return left + right not in known and left in known and right in known


def count_words(lines: Iterable[Line]) -> Counter[str]:
    """Return how often each lower-case word, and each pair around a hyphen, occurs inside a line.

    The first and the last word of a line are not counted, because they may be halves.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        for word in _HYPHENATED.findall(line.text.casefold())[1:-1]:
            parts = word.split("-")
            counts.update([word] if len(parts) == 1 else map("-".join, pairwise(parts)))
    return counts
