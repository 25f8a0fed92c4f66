"""Compare a text with a reference by its sequences of five words, its glued and its torn words.

The reference is the truth of a made-up layout, or the prose that poppler reads in a published paper.
- recall: the share of the reference's sequences that the text has; precision: the share of the
  text's sequences that the reference has. A sequence lies within one paragraph.
- glued by the list: a word of eight letters or more that is neither English nor in the reference
  and is made of two English words of three letters or more. Glued by the reference: a word that the
  reference lacks and has as two neighbours, one of them English: "ofheat", but not "xb".
- torn by the list: two neighbours that make an English word together, one of which is not an English
  word. Torn by the reference: two neighbours that the reference lacks and has as one word.
- foreign: the share of the sentences with a pair of neighbours that is nowhere in the reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

_WORD = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_LENGTH = 5
_REFERENCES = re.compile(
    r"(?:\d+\.?\s*)?(?:references|bibliography|literature cited)", re.IGNORECASE
)
_LIST = re.compile(r"(?:References|REFERENCES|Bibliography|BIBLIOGRAPHY)\s+[A-Z\[]")
_AFTER = re.compile(
    r"(?:[A-Z\d]+\.?\s+)?(?:appendix|appendices|methods|supplement|supporting)", re.IGNORECASE
)
_SHORT = frozenset(
    {"as", "at", "be", "by", "if", "in", "is", "it", "of", "on", "or", "so", "to", "we"}
)
_PROSE_WORDS = 12
_PROSE_SHARE = 0.75


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the sequences, words and pairs of a text are compared with."""

    sequences: frozenset[tuple[str, ...]]
    optional: frozenset[tuple[str, ...]]
    """Those that a text may have or not, such as those of footnotes."""
    words: frozenset[str]
    pairs: frozenset[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The figures of one text; those without a reference are None."""

    recall: float | None
    precision: float | None
    glued: tuple[int, int | None]
    """By the word list, and by the reference."""
    torn: tuple[int, int | None]
    foreign: float | None


def tokens(text: str) -> list[str]:
    """Return the words and the numbers of ``text``, in lower case."""
    return _TOKEN.findall(text.lower())


def sequences(paragraphs: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """Return the sequences of five words within each paragraph."""
    found = set()
    for words in map(tokens, paragraphs):
        found.update(zip(*(words[place:] for place in range(_LENGTH)), strict=False))
    return frozenset(found)


def reference(
    prose: Sequence[str], *, whole: Sequence[str] = (), optional: Sequence[str] = ()
) -> Reference:
    """Return the reference of these paragraphs; words and pairs may come from the ``whole`` paper."""
    everything = list(map(tokens, [*prose, *whole, *optional]))
    joined = [token for part in everything for token in part]
    return Reference(
        sequences=sequences(prose),
        optional=sequences(optional),
        words=frozenset(joined),
        pairs=frozenset(pairwise(joined)),
    )


def prose_of(blocks: Sequence[str], known: AbstractSet[str]) -> list[str]:
    """Return the blocks of a text that are prose.

    A block is prose when it has twelve words or more, and three quarters of its tokens are English
    words. The reference list is left out, from its heading to a heading such as "Appendix".
    """
    kept, listed = [], False
    for block in blocks:
        if (_REFERENCES.match(block) and len(block.split()) < 4) or _LIST.match(block):
            listed = True
        elif listed and _AFTER.match(block) and len(block.split()) < 12:
            listed = False
        words = tokens(block)
        english = sum(word in known for word in words)
        if not listed and len(words) >= _PROSE_WORDS and english >= _PROSE_SHARE * len(words):
            kept.append(block)
    return kept


def compare(
    paragraphs: Sequence[str], wanted: Reference | None, known: AbstractSet[str]
) -> Comparison:
    """Return the figures of a text against a reference, or those of the word list alone."""
    words = [word for part in paragraphs for word in _WORD.findall(part.lower())]
    pairs = list(pairwise(words))
    vocabulary = wanted.words if wanted else frozenset()
    glued = sum(word not in vocabulary and _is_glued(word, known) for word in words)
    torn = sum(_is_torn(one, other, known) for one, other in pairs)
    if wanted is None:
        return Comparison(
            recall=None, precision=None, glued=(glued, None), torn=(torn, None), foreign=None
        )
    found = sequences(paragraphs)
    joined = {
        one + other
        for one, other in wanted.pairs
        if any(half in known and (len(half) > 2 or half in _SHORT) for half in (one, other))
    }
    strange = sum(word not in vocabulary and word in joined for word in words)
    apart = sum(
        one + other in vocabulary
        and (one, other) not in wanted.pairs
        and min(len(one), len(other)) > 1
        for one, other in pairs
    )
    return Comparison(
        recall=len(found & wanted.sequences) / max(len(wanted.sequences), 1),
        precision=len(found & wanted.sequences) / max(len(found - wanted.optional), 1),
        glued=(glued, strange),
        torn=(torn, apart),
        foreign=_foreign(paragraphs, wanted),
    )


def headings_found(
    wanted: Sequence[str], inline: Sequence[str], found: Sequence[str]
) -> tuple[int, int]:
    """Return how many of the ``wanted`` headings are among those ``found``, and how many are false.

    A number before a heading and up to eight words behind it (a tag, an author) do not matter.
    ``inline`` headings are neither right nor false.
    """
    left = [_heading(text) for text in found]
    right = 0
    for text in sorted(wanted, key=len, reverse=True):
        words = _heading(text)
        place = next((i for i, other in enumerate(left) if _begins(other, words)), None)
        if place is not None:
            right += 1
            del left[place]
    allowed = [_heading(text) for text in [*wanted, *inline]]
    false = sum(not any(_begins(other, words) for words in allowed) for other in left)
    return right, false


def same_title(one: str, other: str) -> bool:
    """Return whether two titles have the same words."""
    return tokens(one) == tokens(other)


def _heading(text: str) -> list[str]:
    return tokens(re.sub(r"^(?:[A-Z]|[IVX]+|\d+)(?:\.\d+)*[.:)]?\s+(?=\S)", "", text))


def _begins(text: list[str], words: list[str]) -> bool:
    return text[: len(words)] == words and len(text) <= len(words) + 8


def _is_glued(word: str, known: AbstractSet[str]) -> bool:
    return (
        len(word) >= 8
        and word not in known
        and any(word[:cut] in known and word[cut:] in known for cut in range(3, len(word) - 2))
    )


def _is_torn(one: str, other: str, known: AbstractSet[str]) -> bool:
    halves = len(one) > 1 and len(other) > 1 and (one not in known or other not in known)
    return halves and one + other in known


def _foreign(paragraphs: Sequence[str], wanted: Reference) -> float:
    sentences = [
        tokens(sentence)
        for part in paragraphs
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", part)
    ]
    sentences = [sentence for sentence in sentences if len(sentence) > 1]
    strange = sum(not wanted.pairs.issuperset(pairwise(sentence)) for sentence in sentences)
    return strange / max(len(sentences), 1)
