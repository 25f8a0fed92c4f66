"""Find papers with nearly the same text, for example three versions of one paper.

A sketch is the smallest hashes of a paper's five-word runs. Two sketches give an estimate of the
share of runs that two papers have in common (bottom-k sketches: Cohen and Kaplan 2007).
"""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_RUN = 5  # words
_SIZE = 128  # hashes in a sketch: the error of the estimate is about 0.04
_NEAR = (
    0.3  # share of common runs. Versions of one paper have more, different papers less than 0.05
)
_COMMON = 200  # papers with the same hash: a publisher's notice, which says nothing about a paper
_WORD = re.compile(r"\w+")


def sketch(texts: Iterable[str]) -> tuple[int, ...]:
    """Return the smallest hashes of the five-word runs of a paper's paragraphs, in order."""
    hashes: set[int] = set()
    for text in texts:
        words = _WORD.findall(text.casefold())
        runs = (" ".join(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1))
        hashes.update(zlib.crc32(run.encode(errors="replace")) for run in runs)
    return tuple(sorted(hashes)[:_SIZE])


def near_duplicates(
    sketches: Mapping[str, tuple[int, ...]],
) -> Iterator[tuple[str, str, float]]:
    """Yield (file, an earlier file that it resembles, share of the five-word runs in both).

    The earlier file does not itself resemble an earlier one. The time is linear in the number of
    papers, because a hash that many papers have is not used.
    """
    files_of: dict[int, list[str]] = defaultdict(list)
    for file, hashes in sketches.items():
        common = Counter(
            other for one in hashes if len(files_of[one]) < _COMMON for other in files_of[one]
        )
        other = max(common, key=lambda name: common[name], default="")
        share = _share(hashes, sketches[other]) if other else 0.0
        if share >= _NEAR:
            yield file, other, share
            continue
        for one in hashes:
            files_of[one].append(file)


def _share(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return the estimated share of runs that two papers have in common (Jaccard index)."""
    smallest = sorted({*one, *other})[: min(_SIZE, max(len(one), len(other)))]
    return len({*smallest} & {*one} & {*other}) / max(len(smallest), 1)
