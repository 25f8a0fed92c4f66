"""Split text into words and sentences, and compare texts by TF-IDF.

Examples, scores and retrieval all use the same functions, so that they agree on what a word is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMULA = "[formula]"
"""Stands in a text where the paper displays a formula."""

UNKNOWN = "\ufffd"
"""Stands for a glyph whose meaning the file does not tell."""

_STOP_WORDS = """
about above after again all also although an and another any are as at be because been before being
below between both but by can cannot could did do does doing down during each either every few for
from further had has have having he her here hers him his how however if in into is it its itself
just like made make makes many may me might more most much must my neither no nor not now of off on
once one only onto or other our out over own per quite rather same several shall she should since so
some such than that the their them themselves then there therefore these they this those though
through thus to too two three under until up upon us use used uses using very was we well were what
when where whereas which while who whose why will with within without would yet you your a i
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

# A full stop after one of these does not end a sentence.
_ABBREVIATIONS = (
    r"(?<!\bet al\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bvs\.)(?<!\bFig\.)(?<!\bFigs\.)(?<!\bEq\.)"
    r"(?<!\bEqs\.)(?<!\bSec\.)(?<!\bRef\.)(?<!\bTab\.)(?<!\bapprox\.)(?<!\bresp\.)(?<!\bDr\.)(?<!\bNo\.)"
    r"(?<!\b[A-Z]\.)"
)
_END = r"(?:(?<=[.!?])|(?<=[.!?][)”\"]))"
_BOUNDARY = re.compile(rf"{_END}{_ABBREVIATIONS}\s+(?=[A-Z0-9(“\"])")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def words(text: str) -> list[str]:
    """Return the lower-case words of ``text``; a hyphen or apostrophe inside a word is part of it."""
    return [match.group().lower() for match in _WORD.finditer(text)]


def sentences(text: str) -> list[str]:
    """Return the sentences of ``text``; common abbreviations and initials do not end one."""
    return [part for part in _BOUNDARY.split(text.strip()) if part]


@dataclass(frozen=True, kw_only=True)
class TfIdf:
    """Inverse document frequencies of a collection (Spärck Jones 1972), and cosine similarity."""

    documents: int
    frequencies: Counter[str]
    """Word → the number of documents that have it."""

    @classmethod
    def over(cls, texts: Iterable[str]) -> TfIdf:
        """Return the frequencies of a collection of texts."""
        found = [set(words(text)) for text in texts]
        return cls(documents=len(found), frequencies=Counter(chain.from_iterable(found)))

    def idf(self, word: str) -> float:
        """Return ln((1 + N) / (1 + n)) + 1: highest for a new word, 1 for a word in all documents."""
        return math.log((1 + self.documents) / (1 + self.frequencies[word])) + 1

    def vector(self, text: str) -> dict[str, float]:
        """Return the unit vector of ``text`` over its content words (empty when it has none)."""
        # Sorted, so that floating-point sums do not depend on the order of the words.
        counts = Counter(word for word in words(text) if word not in STOP_WORDS)
        weights = {word: count * self.idf(word) for word, count in sorted(counts.items())}
        norm = math.sqrt(sum(weight * weight for weight in weights.values()))
        return {word: weight / norm for word, weight in weights.items()} if norm else {}

    def similarity(self, left: str, right: str) -> float:
        """Return the cosine similarity of two texts, 0 to 1."""
        one, other = self.vector(left), self.vector(right)
        return sum(weight * other[word] for word, weight in one.items() if word in other)
