from __future__ import annotations

from paperlora.pipeline.parse.quality import is_glued, measure, word_list

KNOWN = word_list()
SOUND = "The network learns the parameters of the model during training on a large collection."


def test_the_list_has_inflected_words_and_no_fragments() -> None:
    assert {"networks", "learned", "training", "coefficients"} <= KNOWN
    assert KNOWN.isdisjoint({"trai", "ning", "ofthe", "hyperparameter"})


def test_a_sound_text_is_all_known() -> None:
    quality = measure(SOUND, KNOWN)
    assert (quality.share, quality.glued, quality.torn, quality.damage) == (1.0, 0, 0, 0.0)
    assert quality.words == 11  # three letters or more


def test_glued_words_are_counted_and_lower_the_share() -> None:
    quality = measure("The networklearnsthe parametersofthemodel during training.", KNOWN)
    assert quality.glued == 2
    assert quality.share == 0.6


def test_long_words_that_are_one_word_are_not_glued() -> None:
    names = ["hyperparameter", "backpropagation", "nonlinearities", "srivastava", "tokenized"]
    assert [name for name in [*names, "dataset", "convolutional"] if is_glued(name, KNOWN)] == []
    assert is_glued("overthecourseoftraining", KNOWN)
    assert is_glued("networkand", KNOWN)


def test_torn_words_are_counted() -> None:
    quality = measure("the parame ters of it during trai ning\nbec ause of it", KNOWN)
    assert quality.torn == 3
    assert quality.damage > 0.2


def test_neighbours_that_are_words_or_symbols_are_not_torn() -> None:
    text = "we take in to account b and c\nfor k in y are given to day by New York"
    assert measure(text, KNOWN).torn == 0


def test_halves_on_two_lines_are_not_torn() -> None:
    assert measure("trai\nning", KNOWN).torn == 0


def test_the_share_of_a_text_without_words_is_zero() -> None:
    assert measure("1 + 2 = 3", KNOWN).share == 0.0
