from __future__ import annotations

from collections import Counter

import pytest
from paperlora.pipeline.parse.clean import (
    Line,
    clean_characters,
    count_words,
    drop_running_lines,
    join,
    lines_of,
)

KNOWN = {"learning", "sufficient", "the", "art", "state", "of", "mini", "batch", "to", "find"}


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("eﬃcient ﬁeld ﬂow oﬀ", "efficient field flow off"),
        ("su ﬃcient to ﬁnd", "sufficient to find"),  # torn at the ligature, and not
        ("a\x00b\x02 c\ufffed\ud800", "a b c d"),
        ("N/summationdisplay x parenleftbigg y parenrightBig", "N x y"),
        ("rel/uni0075 and/or (cid:12)z", "relu and/or z"),
        ("the summation of products", "the summation of products"),  # words, not glyph names
        ("https://a.example/periodic/index", "https://a.example/periodic/index"),
        ("2017.arXiv:1708.05894v1  [stat.ML]  19 Aug 2017", "2017.\n"),
        ("see arXiv:1708.05894 for more", "see arXiv:1708.05894 for more"),
        ("across sensitivities.In this", "across sensitivities.\nIn this"),
        ("www.example.Org/a.B", "www.example.Org/a.B"),
        ("Erd ˝os and G¨odel", "Erdős and Gödel"),
        ("soft\u00adhyphen and\u00a0space", "soft-hyphen and space"),
        ("\U0001d465 = \U0001d7cf", "x = 1"),  # mathematical italic x, bold 1
    ],
)
def test_characters(raw: str, cleaned: str) -> None:
    assert clean_characters(raw, KNOWN) == cleaned


WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


def page(number: int, *, header: str = "A Journal, volume {}", footer: str = "{}") -> list[str]:
    middle = (f"{word} {WORDS[number]} of page" for word in WORDS)
    return [header.format(number), *middle, footer.format(number)]


def test_headers_and_page_numbers_that_repeat_are_dropped() -> None:
    kept = drop_running_lines([page(number) for number in range(1, 6)])
    assert [len(lines) for lines in kept] == [8] * 5
    assert all(lines[0].startswith("alpha") and lines[-1].startswith("theta") for lines in kept)


def test_lines_that_do_not_repeat_stay() -> None:
    pages = [
        page(i, header=f"Chapter of {WORDS[i]}", footer=f"end {WORDS[i]}") for i in range(1, 6)
    ]
    assert drop_running_lines(pages) == pages


def test_a_line_that_repeats_in_the_middle_of_pages_stays() -> None:
    pages = [[*page(number)[1:5], "same line", *page(number)[5:9]] for number in range(1, 6)]
    assert all("same line" in lines for lines in drop_running_lines(pages))


def test_page_numbers_glued_to_the_last_line_are_cut_when_they_count_up() -> None:
    pages = [
        [f"some {word} words", f"as in Lample et al.,{84 + i}"] for i, word in enumerate(WORDS[:5])
    ]
    kept = drop_running_lines([[*"abcdefg"[i:], *page] for i, page in enumerate(pages)])
    assert not any(line[-1].isdigit() for lines in kept for line in lines)


def test_years_at_the_ends_of_pages_are_not_page_numbers() -> None:
    years = ["1999", "2004", "2001", "1987", "2010"]
    pages = [
        [f"{word} words", f"as {word} said in {year}"]
        for word, year in zip(WORDS, years, strict=False)
    ]
    assert drop_running_lines(pages) == pages


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
    assert (
        joined("mini-", "batch", counts=Counter({"minibatch": 2, "mini-batch": 1})) == "minibatch"
    )
    assert joined("learn-", "ing", counts=Counter({"learn-ing": 1})) == "learn-ing"


def test_spaces_before_stops_and_inside_brackets_go() -> None:
    assert joined("( e.g. , this one ) .") == "(e.g., this one)."


def test_counting_leaves_out_line_ends_which_may_be_halves() -> None:
    counts = count_words([Line(page=1, text="ing the state-of-the-art is learn-")])
    assert counts == Counter({"the": 1, "state-of": 1, "of-the": 1, "the-art": 1, "is": 1})


def test_notices_are_left_out_and_pages_are_counted() -> None:
    pages = ["© 2017 Some Society\nfirst words\n", "", "Licensed under CC BY 4.0\nlast words"]
    assert lines_of(pages, KNOWN) == [
        Line(page=1, text="first words"),
        Line(page=3, text="last words"),
    ]


def test_a_spelled_out_glyph_cannot_smuggle_in_a_control_character_or_half_a_pair() -> None:
    cleaned = clean_characters("A /uni001Bx /uniD800y /uni0042", frozenset())
    assert "\x1b" not in cleaned
    cleaned.encode()
    assert "B" in cleaned
