from __future__ import annotations

from collections import Counter

import pytest

from paperlora.pipeline.parse.joining import count_words, join, tidy

KNOWN = {"learning", "sufficient", "the", "art", "state", "of", "mini", "batch", "to", "find"}


@pytest.mark.parametrize(
    ("raw", "tidied"),
    [
        ("eﬃcient ﬁeld ﬂow oﬀ", "efficient field flow off"),
        ("and\u00a0space \u2009 here ", "and space here"),
        ("zero\u200bwidth", "zerowidth"),
        ("\U0001d465 = \U0001d7cf", "x = 1"),  # mathematical italic x, bold 1
        ("\u2206x in \u00b5m", "Δx in μm"),
        ("Go\u0308del", "Gödel"),
        ("x²", "x²"),
    ],
)
def test_characters(raw: str, tidied: str) -> None:
    assert tidy(raw) == tidied


def joined(*lines: str, counts: Counter[str] | None = None) -> str:
    return join(lines, KNOWN, counts or Counter())


def test_words_broken_at_line_ends_are_joined() -> None:
    assert joined("deep learn-", "ing is fun") == "deep learning is fun"
    assert joined("by backpropa-", "gation") == "by backpropagation"  # neither half is a word


def test_real_hyphens_are_kept() -> None:
    assert joined("a state-of-the-", "art method") == "a state-of-the-art method"
    assert joined("each mini-", "batch") == "each mini-batch"
    assert joined("Navier-", "Stokes on CIFAR-", "10") == "Navier-Stokes on CIFAR-10"
    assert joined("a pause -", "and on") == "a pause - and on"


def test_the_paper_itself_decides_first() -> None:
    both = Counter({"minibatch": 2, "mini-batch": 1})
    assert joined("mini-", "batch", counts=both) == "minibatch"
    assert joined("learn-", "ing", counts=Counter({"learn-ing": 1})) == "learn-ing"


def test_spaces_before_stops_and_inside_brackets_go() -> None:
    assert joined("( e.g. , this one ) .") == "(e.g., this one)."


def test_counting_leaves_out_line_ends_which_may_be_halves() -> None:
    counts = count_words(["ing the state-of-the-art is learn-"])
    assert counts == Counter({"state-of": 1, "of-the": 1, "the-art": 1, "the": 1, "is": 1})
