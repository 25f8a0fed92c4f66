"""Compare the text of a paper with the prose of its LaTeX source (see ``latex`` for what is prose).

Words are sequences of letters or of digits in lower case. Formulas, citations and references may
be in the text or not when words are counted. A sentence has to be in the text word by word:
- an inline formula may be replaced by the marker, or may stay as any tokens made of its letters and
  digits, but must leave something;
- a displayed formula must be one marker;
- a citation may be missing; a reference must leave its number;
- a paragraph must not end inside a sentence.
A sentence that is there only with the help of a marker is ``marked``. A sentence that is not there is
``damaged``. In a passage that is out of order, the tokens of formulas and citations count as words.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from latex import WORD, Gap, Paper, Sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MARKER = "[formula]"
BREAK = "¶"
_TOKEN = re.compile(rf"{re.escape(MARKER)}|{BREAK}|{WORD.pattern}")
_LONGEST_FORMULA = 60  # tokens
_NUMBER = re.compile(r"\d+|[ivx]+")
MARKED, INTACT = "marked", "intact"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one sentence."""

    sentence: Sentence
    result: str
    """``intact``, ``marked``, or the kind of damage."""
    found: str
    """For a damaged sentence, what the text has in its place."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """The comparison of one text with one source."""

    words: int
    """Words of prose in the source."""
    bag_f1: float
    """F1 of the words as a bag; the words of formulas are optional."""
    ordered_f1: float
    """The same for the longest common subsequence."""
    lost: Counter[str]
    """Words of the source that the text lacks."""
    extra: Counter[str]
    """Words of the text that the source lacks, without those of formulas."""
    verdicts: list[Verdict]

    @property
    def marked(self) -> int:
        """Return the number of sentences in which a marker replaces a formula."""
        return sum(verdict.result == MARKED for verdict in self.verdicts)

    @property
    def damaged(self) -> list[Verdict]:
        """Return the damaged sentences."""
        return [verdict for verdict in self.verdicts if verdict.result not in {INTACT, MARKED}]


def tokens(text: str) -> list[str]:
    """Return the words, markers and paragraph breaks of ``text``, in lower case."""
    return _TOKEN.findall(text.lower())


def shown(sentence: Sentence) -> str:
    """Return a sentence for a person: the words, and the kind of each gap."""
    return " ".join(part if isinstance(part, str) else f"<{part.kind}>" for part in sentence)


def score(paper: Paper, paragraphs: Iterable[str]) -> Score:
    """Compare the ``paragraphs`` of a text with the prose of ``paper``."""
    text = tokens(f" {BREAK} ".join(paragraphs))
    words = [token for token in text if token not in {MARKER, BREAK}]
    prose = paper.words
    pairs = common(prose, words)
    rest = _without_formulas(paper, words, pairs)
    wanted, there = Counter(prose), Counter(rest)
    lost, extra = wanted - there, there - wanted
    shared = wanted.total() - lost.total()
    index = Counter[str]()
    places: dict[str, list[int]] = {}
    for place, token in enumerate(text):
        index[token] += 1
        places.setdefault(token, []).append(place)
    offsets = [place for place, token in enumerate(text) if token not in {MARKER, BREAK}]
    matched = {one: offsets[other] for one, other in pairs}
    verdicts, start = [], 0
    for sentence in paper.sentences:
        size = sum(isinstance(part, str) for part in sentence)
        result = _result(sentence, text, places)
        there_at = [matched[i] for i in range(start, start + size) if i in matched]
        found = " ".join(text[min(there_at) : max(there_at) + 1]) if there_at else ""
        verdicts.append(Verdict(sentence=sentence, result=result, found=found))
        start += size
    return Score(
        words=len(prose),
        bag_f1=_f1(shared, len(prose), len(rest)),
        ordered_f1=_f1(len(pairs), len(prose), len(rest)),
        lost=lost,
        extra=extra,
        verdicts=verdicts,
    )


def common(one: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    """Return a longest common subsequence as pairs of places, in ascending order.

    The bit-parallel algorithm of Hyyrö (2004): a row of the table is one large integer, so that two
    texts of 3,000 words take about 10 ms.
    """
    masks: dict[str, int] = {}
    for place, token in enumerate(one):
        masks[token] = masks.get(token, 0) | 1 << place
    row = full = (1 << len(one)) - 1
    rows = []
    for token in other:
        shared = row & masks.get(token, 0)
        row = ((row + shared) | (row - shared)) & full
        rows.append(row)
    pairs = []
    i, j = len(one), len(other)
    while i and j:
        if rows[j - 1] >> (i - 1) & 1:
            i -= 1
            continue
        j -= 1
        if j and not rows[j - 1] >> (i - 1) & 1:
            continue
        i -= 1
        pairs.append((i, j))
    return pairs[::-1]


def _f1(shared: int, wanted: int, there: int) -> float:
    return 2 * shared / (wanted + there) if wanted + there else 1.0


def _without_formulas(
    paper: Paper, text: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> list[str]:
    """Return ``text`` without the tokens that lie where the source has a gap and can belong to it."""
    before: dict[int, list[Gap]] = {}  # place of a word of the prose → the gaps before it
    place = 0
    for sentence in paper.sentences:
        for part in sentence:
            if isinstance(part, Gap):
                before.setdefault(place, []).append(part)
            else:
                place += 1
    edges = [(-1, -1), *pairs, (place, len(text))]
    kept = []
    for (i, j), (next_i, next_j) in pairwise(edges):
        gaps = [gap for at in range(i + 1, next_i + 1) for gap in before.get(at, ())]
        for token in text[j + 1 : next_j]:
            # Of two equal tokens, the one in the formula before the word may be the matched one.
            twin = before.get(i, []) if i >= 0 and token == text[j] else []
            if not any(_belongs(token, gap) for gap in [*gaps, *twin]):
                kept.append(token)
        kept += text[next_j : next_j + 1]
    return kept


def _belongs(token: str, gap: Gap) -> bool:
    """Return whether ``token`` can be part of what a text shows for ``gap``."""
    if gap.kind == "cite":
        return token.isdecimal()
    if gap.kind == "ref":
        return bool(_NUMBER.fullmatch(token))
    plain = token.isascii() and len(token) > 1 and not token.isdecimal()
    return not plain or set(token) <= gap.letters


def _result(sentence: Sentence, text: list[str], places: dict[str, list[int]]) -> str:
    def there(text: list[str] = text, places: dict[str, list[int]] = places, **rules: bool) -> bool:
        return _matches(sentence, text, places, **rules)

    if there(markers=False):
        return INTACT
    if there():
        return MARKED
    if there(lost=True):
        return "formula lost"
    if there(unmarked=True):
        return "displayed formula not marked"
    joined = [token for token in text if token != BREAK]
    joined_places: dict[str, list[int]] = {}
    for place, token in enumerate(joined):
        joined_places.setdefault(token, []).append(place)
    if there(joined, joined_places, lost=True, unmarked=True):
        return "cut"
    return "words"


def _matches(
    sentence: Sentence,
    text: list[str],
    places: dict[str, list[int]],
    *,
    markers: bool = True,
    lost: bool = False,
    unmarked: bool = False,
) -> bool:
    """Return whether the sentence is in the text, word by word.

    ``markers``: the marker may take the place of a formula. ``lost``: a formula may be missing.
    ``unmarked``: a displayed formula may be there as text.
    """
    first = sentence[0]
    ends = set(places.get(first, ())) if isinstance(first, str) else set(range(len(text)))
    for part in sentence:
        if isinstance(part, str):
            ends = {end + 1 for end in ends if end < len(text) and text[end] == part}
        else:
            ends = _after(part, text, ends, markers=markers, lost=lost, unmarked=unmarked)
        if not ends:
            return False
    return True


def _after(
    gap: Gap, text: list[str], ends: set[int], *, markers: bool, lost: bool, unmarked: bool
) -> set[int]:
    """Return the places behind ``gap`` when it begins at one of ``ends``."""
    formula = gap.kind in {"inline", "display"}
    after = set(ends) if gap.kind == "cite" or gap.bare or (formula and lost) else set()
    for end in ends:
        if formula and markers and text[end : end + 1] == [MARKER]:
            after.add(end + 1)
        if gap.kind == "display" and not unmarked:
            continue
        most = 1 if gap.kind == "ref" else _LONGEST_FORMULA
        for place in range(end, min(end + most, len(text))):
            if text[place] in {MARKER, BREAK} or not _belongs(text[place], gap):
                break
            after.add(place + 1)
    return after
