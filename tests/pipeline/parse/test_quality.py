from __future__ import annotations

from dataclasses import replace
from typing import Any

from paperlora.pipeline.parse import quality
from paperlora.pipeline.parse.quality import is_glued, word_list
from paperlora.pipeline.parse.reader import Paper

KNOWN = word_list()
SOUND = "The network learns the parameters of the model during training on a large collection."
EMPTY = Paper(
    title="",
    authors=[],
    first_page="",
    headings=[],
    paragraphs=[],
    aside=[],
    page_count=1,
    bad_pages=[],
    characters=100,
    unknown=0,
    counts={},
)


def measure(*texts: str, **about: Any) -> dict[str, Any]:
    paragraphs = [{"page": 1, "section": "", "text": text} for text in texts]
    return quality.measure(replace(EMPTY, paragraphs=paragraphs, **about), KNOWN)


def test_the_list_has_inflected_words_and_no_fragments() -> None:
    assert {"networks", "learned", "training", "coefficients"} <= KNOWN
    assert KNOWN.isdisjoint({"trai", "ning", "ofthe", "hyperparameter"})


def test_a_sound_text_has_no_damage() -> None:
    found = measure(SOUND, characters=2 * len(SOUND.replace(" ", "")))
    assert found == {
        "known": 1.0,
        "glued": 0,
        "torn": 0,
        "unknown": 0,
        "formulas": 0,
        "marked": 0.0,
        "kept": 0.5,
    }


def test_glued_words_are_counted_and_lower_the_share() -> None:
    found = measure("The networklearnsthe parametersofthemodel during training.")
    assert (found["glued"], found["known"]) == (2, 0.6)


def test_long_words_that_are_one_word_are_not_glued() -> None:
    names = ["hyperparameter", "backpropagation", "nonlinearities", "srivastava", "tokenized"]
    assert [name for name in [*names, "dataset", "convolutional"] if is_glued(name, KNOWN)] == []
    assert is_glued("overthecourseoftraining", KNOWN)
    assert is_glued("networkand", KNOWN)
    assert is_glued("the" * 100_000, KNOWN)  # at once, however long


def test_torn_words_are_counted() -> None:
    assert measure("the parame ters of it during trai ning", "bec ause of it")["torn"] == 3


def test_neighbours_that_are_words_or_symbols_are_not_torn() -> None:
    text = "we take in to account b and c", "for k in y are given to day by New York"
    assert measure(*text)["torn"] == 0


def test_halves_in_two_paragraphs_are_not_torn() -> None:
    assert measure("trai", "ning")["torn"] == 0


def test_marks_count_their_sentences() -> None:
    found = measure("It is so. Thus [formula] holds. We see \ufffd here. The end.", unknown=1)
    assert (found["formulas"], found["marked"], found["unknown"]) == (1, 0.5, 1)


def test_the_share_of_a_text_without_words_is_zero() -> None:
    assert measure("1 + 2 = 3")["known"] == 0.0
