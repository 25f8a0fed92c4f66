"""Score an answer against its reference: relevance, overlap, and their mean.

- relevance: cosine of the TF-IDF vectors of answer and reference, with inverse document
  frequencies over the training answers (Spärck Jones 1972): do both use the same rare words?
- overlap: ROUGE-L F1 over words (Lin 2004): do both have the same words in the same order?
- score: the mean of the two. An answer is accurate when its score reaches the threshold.

All are between 0 and 1. They compare words only: a right answer in other words scores low.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from paperlora.pipeline.text import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from paperlora.pipeline.text import TfIdf


def score(answer: str, reference: str, tfidf: TfIdf) -> dict[str, float]:
    """Return "relevance" and "overlap" of ``answer`` with ``reference``."""
    return {
        "relevance": tfidf.similarity(answer, reference),
        "overlap": rouge_l(words(answer), words(reference)),
    }


def mixed(score: Mapping[str, float]) -> float:
    """Return the mean of relevance and overlap."""
    return (score["relevance"] + score["overlap"]) / 2


def rouge_l(answer: Sequence[str], reference: Sequence[str]) -> float:
    """Return the F1 of the longest common subsequence of two word lists; 0 when either is empty."""
    row = [0] * (len(reference) + 1)
    for word in answer:
        diagonal = 0
        for column, other in enumerate(reference, start=1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    common = row[-1]
    return 2 * common / (len(answer) + len(reference)) if common else 0.0


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927); (0, 1) when ``n`` is 0."""
    if not n:
        return 0.0, 1.0
    share = hits / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def summary(scores: Sequence[Mapping[str, float]], threshold: float) -> dict[str, object]:
    """Return n, accuracy with its interval, and the means, as in ``report.json``."""
    n = len(scores)
    hits = sum(mixed(score) >= threshold for score in scores)

    def mean(values: Sequence[float]) -> float:
        return round(sum(values) / n, 6) if n else 0.0

    return {
        "n": n,
        "accuracy": round(hits / n, 6) if n else 0.0,
        "accuracy_ci95": [round(bound, 6) for bound in wilson(hits, n)],
        "relevance_mean": mean([score["relevance"] for score in scores]),
        "overlap_mean": mean([score["overlap"] for score in scores]),
        "score_mean": mean([mixed(score) for score in scores]),
    }
