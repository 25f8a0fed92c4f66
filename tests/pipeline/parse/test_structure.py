from __future__ import annotations

from paperlora.pipeline.parse.clean import Line
from paperlora.pipeline.parse.structure import body, first_title, join_heading, paragraphs

A = "this line of prose is as long as the other lines of the page are a"
B = "and that line of prose is as long as the other lines on the page b"
STOP = "here the sentence ends."


def lines(*texts: str, page: int = 1) -> list[Line]:
    return [Line(page=page, text=text) for text in texts]


def found(*texts: str) -> list[tuple[str, int]]:
    return [(paragraph.section, len(paragraph.lines)) for paragraph in paragraphs(lines(*texts))]


def texts_of(given: list[Line]) -> list[str]:
    return [line.text for line in given]


def test_body_runs_from_the_abstract_to_the_references() -> None:
    given = lines("Title", "Somebody", "Abstract", A, "References", "[1] A book.")
    assert texts_of(body(given)) == ["Abstract", A]


def test_body_without_abstract_begins_at_the_introduction_and_else_at_the_top() -> None:
    assert texts_of(body(lines("Title", "1 Introduction", A))) == ["1 Introduction", A]
    assert texts_of(body(lines("Title", A))) == ["Title", A]


def test_an_appendix_after_the_references_is_kept() -> None:
    given = lines("Abstract", A, "References", "[1] A book.", "Appendix", B, "References", "[2] B.")
    assert texts_of(body(given)) == ["Abstract", A, "Appendix", B]


def test_paragraphs_end_at_short_lines_that_end_sentences() -> None:
    assert found(A, STOP, "But " + A, B) == [("", 2), ("", 2)]
    assert found(A, B + ".", "But " + A, B) == [("", 4)]  # a full line does not end one
    assert found(A, STOP, A, B) == [("", 4)]  # a small letter continues


def test_sections_get_their_paragraphs() -> None:
    given = ["Abstract", A, STOP, "1 Introduction", A, "2 Method", "2.1 Part", A, B]
    assert found(*given) == [("Abstract", 2), ("Introduction", 1), ("Part", 2)]


def test_an_abstract_on_its_heading_line() -> None:
    assert found("Abstract—We know that " + A, B) == [("Abstract", 2)]


def test_a_paragraph_continues_on_the_next_page_and_keeps_its_first_page() -> None:
    given = [*lines(A, B), *lines(A, STOP, page=2)]
    (paragraph,) = paragraphs(given)
    assert [line.page for line in paragraph.lines] == [1, 1, 2, 2]


def test_text_waits_while_a_caption_interrupts_it() -> None:
    caption = "Figure 1. What is seen in the figure is told in these words."
    body_text, aside = paragraphs(lines(A, B, caption, A, STOP))
    assert texts_of(body_text.lines) == [A, B, A, STOP]
    assert texts_of(aside.lines) == [caption]


def test_a_reference_to_a_figure_is_not_a_caption() -> None:
    assert (
        len(
            paragraphs(
                lines(A, "as can be seen by everyone in the third table and the other", "and in")
            )
        )
        == 1
    )
    (one,) = paragraphs(
        lines(A, B[:-1] + "in", "Fig. 4. First, the other way around is better than before")
    )
    assert len(one.lines) == 3


def test_items_are_paragraphs_of_their_own() -> None:
    first, second = (
        "• the first of the items in the list is long;",
        "• the second of the items in the list is long.",
    )
    assert (
        found("There are two of them in the list that we have made here:", first, second)
        == [("", 1)] * 3
    )


def test_stray_labels_are_dropped() -> None:
    assert found("Abstract", "Figure 3: Results", "1 Introduction", A) == [("Introduction", 1)]


def test_headings_on_two_lines() -> None:
    assert (
        found("2 Towards Reducing the Internal", "Covariate Shift", A, B)[0][0]
        == "Towards Reducing the Internal Covariate Shift"
    )
    assert (
        found("1 Reducing the Bias of", "large groups", A, B)[0][0]
        == "Reducing the Bias of large groups"
    )
    assert (
        found("2 Towards Reducing the Internal", "Papers. We", A, B)[0][0]
        == "Towards Reducing the Internal"
    )
    assert found("1 Deep Residual Learning", "1.1 Residuals", A, B)[0][0] == "Residuals"
    assert join_heading("Ten Thousand Peo-", "ple") == "Ten Thousand People"
    assert join_heading("with Batch-", "Normalized Nets") == "with Batch-Normalized Nets"


def test_the_title_is_the_first_line_that_can_be_one() -> None:
    assert (
        first_title(lines("1", "Deep Networks by", "Example", "Somebody"))
        == "Deep Networks by Example"
    )
    assert first_title(lines("x", "17 + 4 = 21")) == ""
