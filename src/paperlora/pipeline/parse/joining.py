"""Join the lines of a paragraph: words broken at a line's end, ligatures, accents, spaces."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

# Not all characters that NFKC changes: it would also turn "x²" into "x2".
_LIGATURE_OR_MATHEMATICAL_LETTER = re.compile("[ﬀﬁﬂﬃﬄﬅﬆ\U0001d400-\U0001d7ff]")
_GREEK = str.maketrans("\u2206\u2126\u00b5", "ΔΩμ")  # signs that look like these letters
_SPACES = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u3000]+")
_UNSEEN = re.compile(r"[\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\u00ad]")
_BROKEN = re.compile(r"([^\W\d_]{1,40})-$")
_FIRST_WORD = re.compile(r"[^\W\d_]{1,40}")
_HYPHENATED = re.compile(r"[^\W\d_]{1,40}(?:-[^\W\d_]{1,40}){0,8}")
_SUSPENDED = {"and", "or", "to", "versus"}
_NEAR = 60  # characters at the end of a line that can be a broken word


def tidy(text: str) -> str:
    """Return ``text`` with letters for ligatures, plain spaces, composed accents, nothing unseen."""
    text = _LIGATURE_OR_MATHEMATICAL_LETTER.sub(
        lambda match: unicodedata.normalize("NFKC", match.group()), text
    )
    text = _UNSEEN.sub("", unicodedata.normalize("NFC", text.translate(_GREEK)))
    return _SPACES.sub(" ", text).strip()


def join(lines: Iterable[str], known: AbstractSet[str], counts: Counter[str]) -> str:
    """Return a paragraph's lines as one line, and join the words that are broken at line ends.

    ``counts`` says how often each word occurs inside a line of the paper (see ``count_words``).
    """
    parts: list[str] = []
    last = ""
    for line in lines:
        if not line:
            continue
        if last:
            left, right = _BROKEN.search(last[-_NEAR:]), _FIRST_WORD.match(line)
            if left and right and right[0] in _SUSPENDED:  # "pre- and post-flood"
                parts.append(" ")
            elif left and right:
                if not _keeps_hyphen(left[1], right[0], known, counts):
                    parts[-1] = last[:-1]
            # A hyphen before a digit is a real one: "CIFAR-" "10". After a space it is a dash.
            elif not (last.endswith(("-", "/", "–")) and last[-2:-1] != " "):
                parts.append(" ")
        parts.append(line)
        last = line
    return re.sub(r" (?=[,.;:!?)\]])|(?<=[(\[]) ", "", "".join(parts))


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


def count_words(lines: Iterable[str]) -> Counter[str]:
    """Return how often each lower-case word, and each pair around a hyphen, occurs inside a line.

    The first and the last word of a line are not counted, because they may be halves.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        for word in _HYPHENATED.findall(line.casefold())[1:-1]:
            parts = word.split("-")
            counts.update([word] if len(parts) == 1 else map("-".join, pairwise(parts)))
    return counts
