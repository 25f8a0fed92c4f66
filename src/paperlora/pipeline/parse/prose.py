"""Separate lines of prose from formulas, rows of tables and labels of figures.

A line is prose when at least half of its characters are letters of words and less than 45 % of its
tokens are numbers or signs. A long line is also prose when it has four words, one of them a function
word ("the", "of"). Two kinds of line need more. Next to a line that is not prose, a line without a
function word is the head of a table. A line much shorter than the others on its page is prose only
at the end of a paragraph, before a formula, or where superscripts cut a line of prose into pieces.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from paperlora.pipeline.text import STOP_WORDS

if TYPE_CHECKING:
    from paperlora.pipeline.parse.clean import Line

LETTERS = re.compile(r"[^\W\d_]{2,}")
_RELATION = re.compile(r"[=<>∈∑∏∂←→≤≥≈∼∇∞∝∫√]")
_ABBREVIATION = re.compile(
    r"\b(?:e\.g|i\.e|al|cf|vs|figs?|eqn?s?|secs?|refs?|tab|no|resp|approx)\.$", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.?!:][\"”’')\]]*\d{0,2}$")
ITEM = re.compile(r"[•‣▪◦]|[–-] |\(?(?:\d{1,2}|[a-z]|[ivx]+)[.)] ")
CAPTION = re.compile(r"(?:figure|fig\.|table|algorithm|box|scheme)\s*\d+\s*[.:|]", re.IGNORECASE)
FOOTNOTE = re.compile(r"\d{1,2}(?:\.?\s?(?:https?://|www\.)|[A-Z][a-z]+ )|[\u2217*†‡] ?[A-Z]")
_OPEN_WORDS = "a an and by for from in of on or the to via with"
_BROKEN = re.compile(r"[a-z]-$")
# Shares of the usual line length of a page.
_SHORT = 0.55  # shorter lines are labels, table cells or last lines of paragraphs
_FULL = 0.85  # a sentence that ends in a shorter line may end its paragraph


class LineLengths:
    """The usual length of a line on each page, in characters."""

    def __init__(self, lines: list[Line]) -> None:
        """Take the 70th percentile of each page, since labels and last lines are shorter."""
        lengths: dict[int, list[int]] = defaultdict(list)
        for line in lines:
            if len(line.text) >= 20:  # shorter ones are never a column wide
                lengths[line.page].append(len(line.text))
        self._usual = {page: sorted(found)[len(found) * 7 // 10] for page, found in lengths.items()}

    def is_short(self, line: Line, share: float = _SHORT) -> bool:
        """Return whether ``line`` is shorter than this share of the usual line."""
        return len(line.text) < share * self._usual.get(line.page, 0)

    def is_full(self, line: Line) -> bool:
        """Return whether ``line`` is about as wide as its column."""
        return len(line.text) >= _FULL * self._usual.get(line.page, 0)


def ends_sentence(text: str) -> bool:
    """Return whether ``text`` ends with a sentence's end or a colon, not with an abbreviation."""
    return bool(_SENTENCE_END.search(text)) and not _ABBREVIATION.search(text)


def is_open(text: str) -> bool:
    """Return whether ``text`` cannot end here: it ends with a hyphen or a word such as "the"."""
    return text.endswith("-") or text.rpartition(" ")[2].casefold() in _OPEN_WORDS.split()


def is_language(text: str) -> bool:
    """Return whether one line, without its neighbours, is words and not mathematics or numbers."""
    tokens = text.split()
    runs = LETTERS.findall(text)
    wordless = sum(not LETTERS.search(token) for token in tokens)
    if sum(map(len, runs)) < 0.5 * len("".join(tokens)) or wordless >= 0.45 * len(tokens):
        return False
    numbered = sum(any(character.isdigit() for character in token) for token in tokens)
    if 2 * numbered > len(tokens):
        return False
    # A relation such as "=" is a formula, unless at least three words stand beside it.
    return not _RELATION.search(text) or sum(len(run) > 2 for run in runs) >= 3


def prose(lines: list[Line]) -> list[bool]:
    """Return for each of ``lines`` whether it is prose, given its neighbours."""
    lengths = LineLengths(lines)
    # With one entry more at each end, so that every line has two neighbours.
    full = [False, *(not lengths.is_short(line) for line in lines), False]
    sentence = [_is_sentence(line.text) for line in lines]
    language = [False, *(is_language(line.text) for line in lines), False]
    language[1:-1] = [
        found or (wide and words)
        for found, wide, words in zip(language[1:-1], full[1:-1], sentence, strict=True)
    ]
    kept: list[bool] = []
    for i, line in enumerate(lines, start=1):
        before = lines[i - 2].text if i > 1 else ""
        alone = not (language[i - 1] and language[i + 1])
        if kept and kept[-1] and _BROKEN.search(before) and line.text[0].islower():
            kept.append(True)  # the other half of a word
        elif not language[i] or (alone and not _has_function_word(line.text)):
            kept.append(False)
        elif full[i] or CAPTION.match(line.text) or (ITEM.match(line.text) and _is_item(line.text)):
            kept.append(True)
        else:
            after_full = language[i - 1] and full[i - 1]
            stops = ends_sentence(line.text) or full[i + 1] or not language[i + 1]
            # Superscripts cut a line into short pieces; such pieces have function words.
            piece = bool(kept) and kept[-1] and sentence[i - 1]
            continues = bool(before) and not ends_sentence(before)
            kept.append(continues and (piece or (after_full and stops)))
    return kept


def _is_sentence(text: str) -> bool:
    """Return whether ``text`` is part of a sentence; it may have symbols too."""
    words = [run.casefold() for run in LETTERS.findall(text)]
    return len(words) >= 4 and not STOP_WORDS.isdisjoint(words)


def _is_item(text: str) -> bool:
    return text[-1] in ".;,:" or not STOP_WORDS.isdisjoint(text.casefold().split()[1:])


def _has_function_word(text: str) -> bool:
    words = [run.casefold() for run in LETTERS.findall(text)]
    return len(words) < 3 or not STOP_WORDS.isdisjoint(words)
