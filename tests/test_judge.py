"""The judge of texts: sources are read whole, a perfect text is perfect, damage moves its figure."""

import re

import judge
import latex
import pytest

from paperlora.files import ROOT

PAPERS = ROOT / "src/paperlora/papers"
SOURCE = PAPERS / "low-rank-adaptation-arithmetic.tex"


def test_the_sources_hold_what_they_print():
    papers = {source.stem: latex.read(source) for source in sorted(PAPERS.glob("*.tex"))}
    assert len(papers) == 12
    assert sum(len(paper.sentences) for paper in papers.values()) == 1479
    displayed = [
        part
        for paper in papers.values()
        for sentence in paper.sentences
        for part in sentence
        if isinstance(part, latex.Gap) and part.kind == "display"
    ]
    sources = "".join(source.read_text(encoding="utf-8") for source in PAPERS.glob("*.tex"))
    assert len(displayed) == len(re.findall(r"\\begin\{(?:equation|align)\}", sources))
    assert papers[SOURCE.stem].headings[1] == "A Thin Product and Its Rank"
    assert "trapezia" not in papers[SOURCE.stem].words  # a caption


def test_an_unknown_macro_stops_the_reading_of_a_source(tmp_path):
    source = tmp_path / "a.tex"
    source.write_text(r"\begin{document}A \blink{word} is lost.\end{document}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"blink.*add it"):
        latex.read(source)


# The controls: a text made of the source itself is perfect, and each kind of damage moves its figure.


@pytest.fixture(scope="module")
def paper():
    return latex.read(SOURCE)


@pytest.fixture(scope="module")
def perfect(paper):
    return [" ".join(map(_line, paragraph)) for paragraph in paper.paragraphs]


@pytest.mark.parametrize("source", sorted(PAPERS.glob("*.tex")), ids=lambda path: path.stem)
def test_a_perfect_text_is_perfect(source):
    paper = latex.read(source)
    score = judge.score(paper, [" ".join(map(_line, paragraph)) for paragraph in paper.paragraphs])
    assert (score.bag_f1, score.ordered_f1) == (1, 1)
    assert (score.lost.total(), score.extra.total(), score.damaged) == (0, 0, [])
    displayed = [s for s in paper.sentences if any(getattr(p, "kind", "") == "display" for p in s)]
    assert score.marked == len(displayed) >= 5


def test_a_dropped_sentence_costs_its_words(paper, perfect):
    score = judge.score(paper, _changed(perfect, "rounding deserves care. ", ""))
    assert score.lost == {"rounding": 1, "deserves": 1, "care": 1}
    assert score.bag_f1 < 1
    assert score.ordered_f1 < 1
    assert [verdict.result for verdict in score.damaged] == ["words"]


def test_two_swapped_paragraphs_cost_order_and_nothing_else(paper, perfect):
    score = judge.score(paper, [perfect[1], perfect[0], *perfect[2:]])
    assert (score.lost.total(), score.damaged) == (0, [])
    assert score.bag_f1 > 0.998
    assert score.ordered_f1 < 0.97


def test_glued_words_are_lost_and_found_as_another(paper, perfect):
    score = judge.score(paper, _changed(perfect, "deserves care", "deservescare"))
    assert score.lost == {"deserves": 1, "care": 1}
    assert score.extra == {"deservescare": 1}
    assert len(score.damaged) == 1


def test_a_letter_glued_to_a_word_is_damage(paper, perfect):
    score = judge.score(
        paper, _changed(perfect, "has rank at most r because", "has rank at mostr because")
    )
    assert score.lost == {"most": 1}
    assert len(score.damaged) == 1


def test_a_lost_ligature_is_damage(paper, perfect):
    score = judge.score(paper, [part.replace("fi", "") for part in perfect])
    assert score.lost["first"] > 5
    assert len(score.damaged) > 20


def test_a_formula_that_leaves_nothing_is_damage(paper, perfect):
    text = _changed(
        perfect,
        "the number of trained entries is [formula] against",
        "the number of trained entries is against",
    )
    score = judge.score(paper, text)
    assert (score.bag_f1, score.ordered_f1) == (1, 1)  # no word is lost
    assert [verdict.result for verdict in score.damaged] == ["formula lost"]


def test_a_displayed_formula_as_text_is_damage(paper, perfect):
    text = _changed(
        perfect, "entries is [formula] against", "entries is P(r) = r(d in + d out) against"
    )
    assert [v.result for v in judge.score(paper, text).damaged] == ["displayed formula not marked"]


def test_a_marker_for_an_inline_formula_is_marked(paper, perfect):
    score = judge.score(
        paper, _changed(perfect, "has rank at most r because", "has rank at most [formula] because")
    )
    assert (score.marked, score.damaged) == (10, [])


def test_a_marker_that_swallows_a_word_is_damage(paper, perfect):
    text = _changed(perfect, "has rank at most r because", "has rank at [formula] because")
    assert [verdict.result for verdict in judge.score(paper, text).damaged] == ["words"]


def test_a_paragraph_that_ends_inside_a_sentence_is_damage(paper, perfect):
    place = next(i for i, part in enumerate(perfect) if "rounding deserves care" in part)
    before, after = perfect[place].split("deserves care", 1)
    text = [*perfect[:place], before, f"deserves care{after}", *perfect[place + 1 :]]
    assert [verdict.result for verdict in judge.score(paper, text).damaged] == ["cut"]


def test_a_footnote_inside_a_sentence_is_damage(paper, perfect):
    text = _changed(perfect, "deserves care", "deserves 1 The text is free. care")
    score = judge.score(paper, text)
    assert score.lost.total() == 0
    assert score.extra.total() == 5
    assert len(score.damaged) == 1


def test_a_superscript_in_the_line_is_another_number():
    paper = latex.Paper(headings=[], paragraphs=[[["about", "10", "20", "atoms"]]])
    assert judge.score(paper, ["About 10^20 atoms."]).damaged == []
    assert len(judge.score(paper, ["About 1020 atoms."]).damaged) == 1


def test_the_common_subsequence_is_the_longest():
    assert judge.common("abcbdab", "bdcaba") == sorted(judge.common("abcbdab", "bdcaba"))
    assert len(judge.common("abcbdab", "bdcaba")) == 4
    assert all("abcbdab"[i] == "bdcaba"[j] for i, j in judge.common("abcbdab", "bdcaba"))
    assert judge.common("", "abc") == []


def _changed(text, old, new):
    """Return the paragraphs with ``old`` replaced; it must be there once."""
    assert sum(part.count(old) for part in text) == 1
    return [part.replace(old, new) for part in text]


def _line(sentence):
    """Return a sentence as a good reader shows it."""
    shown = {"display": "[formula]", "cite": "[1]", "ref": "2"}
    return (
        " ".join(
            part
            if isinstance(part, str)
            else shown.get(part.kind) or min(part.letters, default="α")
            for part in sentence
        )
        + "."
    )
