"""Measure the text of a paper: known, glued and torn words, marks, and how much was kept."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from paperlora.pipeline.text import FORMULA, UNKNOWN, sentences

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from paperlora.pipeline.parse.reader import Paper

WORD = re.compile(r"[^\W\d_]+")
_WORD_LENGTH = 3
_GLUED_LENGTH = 8  # shorter unknown words split into known ones by chance
_LONGEST = 40  # letters; a longer word is certainly several
_PIECE_LENGTH = 4  # the list also has "ede" and "kor": most names can be made of such pieces
_JOINTS = frozenset(
    re.findall("[a-z]+", "and are can for from has not our that the this was we with")
)
_SHORT_PIECES = _JOINTS | frozenset(re.findall("[a-z]+", "a an as at be by in is it of on or to"))


@cache
def word_list() -> frozenset[str]:
    """Return the 160,000 English words of pyspellchecker's dictionary, inflected forms included."""
    from spellchecker import SpellChecker  # noqa: PLC0415 - takes 0.2 s

    return frozenset(SpellChecker(language="en").word_frequency.dictionary)


def measure(paper: Paper, known: AbstractSet[str]) -> dict[str, Any]:
    """Return what can hurt in the text of a paper; ``known`` holds lower-case words.

    ``known``: share of its words (three letters or more) that the word list has; ``glued``, ``torn``:
    words without a space between them, or broken apart; ``unknown``: glyphs without a meaning;
    ``formulas``: marks for displayed formulas; ``marked``: share of its sentences that have one, or
    such a glyph; ``kept``: share of the characters on its pages that became text.
    """
    texts = [str(paragraph["text"]) for paragraph in paper.paragraphs]
    whole = "\n".join(texts)
    found = [word.casefold() for word in WORD.findall(whole)]
    long_words = [word for word in found if len(word) >= _WORD_LENGTH]
    parts = [sentence for text in texts for sentence in sentences(text)]
    marked = sum(FORMULA in part or UNKNOWN in part for part in parts)
    letters = sum(len("".join(text.replace(FORMULA, "").split())) for text in texts)
    return {
        "known": _share(sum(word in known for word in long_words), len(long_words)),
        "glued": sum(is_glued(word, known) for word in long_words),
        "torn": count_torn(whole, known),
        "unknown": paper.unknown,
        "formulas": whole.count(FORMULA),
        "marked": _share(marked, len(parts)),
        "kept": _share(min(letters, paper.characters), paper.characters),
    }


def _share(part: int, whole: int) -> float:
    return round(part / max(whole, 1), 4)


def is_glued(word: str, known: AbstractSet[str]) -> bool:
    """Return whether ``word`` is several words without spaces ("ofthenetwork").

    Two content words are not enough, because "hyperparameter" is one word. One of two pieces must be
    a joint such as "the", or there must be three pieces, two of them content words.
    """
    if len(word) < _GLUED_LENGTH or word in known:
        return False
    if len(word) > _LONGEST:
        return True
    pieces = _split(word, known)
    content = len(pieces) - sum(piece in _SHORT_PIECES for piece in pieces)
    return content > 0 and (
        (len(pieces) == 2 and not _JOINTS.isdisjoint(pieces)) or (len(pieces) > 2 and content > 1)
    )


def _split(word: str, known: AbstractSet[str]) -> list[str]:
    """Return the fewest known words that make up ``word``; an empty list when there are none."""
    # best[n] is the answer for the first n letters, or None.
    best: list[list[str] | None] = [[]]
    for end in range(1, len(word) + 1):
        splits = [
            [*before, word[start:end]]
            for start, before in enumerate(best)
            if before is not None and _is_piece(word[start:end], known)
        ]
        best.append(min(splits, key=len, default=None))
    return best[-1] or []


def _is_piece(text: str, known: AbstractSet[str]) -> bool:
    return text in _SHORT_PIECES or (len(text) >= _PIECE_LENGTH and text in known)


def count_torn(text: str, known: AbstractSet[str]) -> int:
    """Return the number of neighbours that are a word only when joined ("trai ning")."""
    pairs = [pair for line in text.splitlines() for pair in pairwise(line.split())]
    return sum(is_torn(left, right.rstrip(".,;:!?)"), known) for left, right in pairs)


def is_torn(left: str, right: str, known: AbstractSet[str]) -> bool:
    """Return whether ``left`` and ``right`` are the halves of one word."""
    joined = (left + right).casefold()
    if len(joined) < 4 or joined not in known or not joined.isalpha() or right != right.lower():
        return False
    # A single letter next to a word is a mathematical symbol ("b and"), not half of a word.
    return any(len(half) > 1 and half not in known for half in (left.casefold(), right))
