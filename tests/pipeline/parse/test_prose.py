from __future__ import annotations

import pytest
from paperlora.pipeline.parse.clean import Line
from paperlora.pipeline.parse.prose import ends_sentence, is_language, is_open, prose

FULL = "this line of prose is as long as the other lines of the page are"


def kept(*texts: str) -> list[str]:
    lines = [Line(page=1, text=text) for text in texts]
    return [line.text for line, good in zip(lines, prose(lines), strict=True) if good]


@pytest.mark.parametrize(
    "text",
    [FULL, "ReLU activations (Nair & Hinton, 2010; Glorot et al., 2011)", "reaching 4.9% error"],
)
def test_language(text: str) -> None:
    assert is_language(text)


@pytest.mark.parametrize(
    "text",
    [
        "\u2113 = F2(F1(u, Θ1), Θ2)",
        "VGG-16 [40] 28.07 9.33",
        "0 1 2 3 4 5 6",
        "Θ = arg min",
        "conv1 112\u00d7112 7\u00d77, 64",
    ],
)
def test_mathematics_and_tables_are_not_language(text: str) -> None:
    assert not is_language(text)


def test_formulas_go_and_the_text_around_them_stays() -> None:
    assert kept(FULL, "by computing", "y = a + b", FULL) == [FULL, "by computing", FULL]


def test_labels_of_figures_go() -> None:
    assert kept("weight layer", "identity", "weight layer", "x", FULL, FULL) == [FULL, FULL]


def test_the_last_line_of_a_paragraph_stays() -> None:
    assert kept(FULL, "to the end.", FULL) == [FULL, "to the end.", FULL]


def test_a_line_that_is_long_and_full_of_numbers_stays_if_it_is_a_sentence() -> None:
    sentence = "takes 53.0 · 1012 operations in the products and 4.4 · 1012 in 7B"
    table = "Deep Image 256 1 24.88 7.42 512 1 12.1 8.8 Resolution 77 66 1 2 3"
    assert kept(FULL, sentence, table, FULL) == [FULL, sentence, FULL]


def test_the_head_of_a_table_goes_with_it() -> None:
    head = "Model Resolution Crops Models Top-1 error Top-5 error Networks"
    assert kept(FULL, head, "ResNet 224 144 7 6.67", FULL) == [FULL, FULL]
    assert kept(FULL, head, FULL) == [FULL, head, FULL]


def test_the_other_half_of_a_broken_word_stays() -> None:
    broken = "this line of prose is as long as the other lines and its last trans-"
    assert kept(broken, "form y = a·x + b", FULL)[1] == "form y = a·x + b"
    assert kept(FULL, "Form y = a·x + b", FULL) == [FULL, FULL]


def test_ends_of_sentences() -> None:
    assert all(map(ends_sentence, ["done.", "done?”", "(done.)", "this:", "so.12"]))
    assert not any(map(ends_sentence, ["et al.", "e.g.", "see Fig.", "and", "x,"]))


def test_open_ends() -> None:
    assert is_open("Table 2 and")
    assert is_open("Mini-")
    assert not is_open("Table 2")
