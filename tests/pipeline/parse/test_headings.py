from __future__ import annotations

import pytest

from paperlora.pipeline.parse.headings import (
    Headings,
    inline_abstract,
    is_abstract,
    is_appendix,
    is_references,
)


def found(*lines: str) -> list[str | None]:
    headings = Headings()
    return [headings.match(line) for line in lines]


def test_numbered_headings_count_up() -> None:
    lines = [
        "1 Introduction",
        "2. Related Work",
        "3Method",
        "3.1. A Part",
        "3.1.1 A Smaller Part",
        "3.2 Another",
        "4 Data",
    ]
    names = [
        "Introduction",
        "Related Work",
        "Method",
        "A Part",
        "A Smaller Part",
        "Another",
        "Data",
    ]
    assert found(*lines) == names


@pytest.mark.parametrize(
    "line",
    [
        "9 Layers of Paint",
        "1 Introduction",
        "3.4 Deeper Part",
        "2 We borrow the same settings",
        "2 Why we show that this is better",
        "2 Networks, each of them,",
        "2 Width = 7 Units of X",
        "2 networks",
        "2 Networks of papers. Others",
        "2Google Research has a very long footnote on its address",
        "data",
        "Results of this",
        "IN A",
        "B. Lecture Notes",
    ],
)
def test_lines_that_only_look_like_headings(line: str) -> None:
    assert found("1 Introduction", line) == ["Introduction", None]


def test_one_number_may_be_missing() -> None:
    assert found("1 Introduction", "3 Method")[1] == "Method"
    assert found("1 Introduction", "6 Conclusion", "7 More")[1:] == ["Conclusion", "More"]


def test_roman_numbers_and_the_letters_below_them() -> None:
    lines = [
        "I. INTRODUCTION",
        "II. METHOD",
        "A. Design of the Net",
        "B. Training",
        "III. RESULTS",
        "V",
    ]
    names = ["Introduction", "Method", "Design of the Net", "Training", "Results", None]
    assert found(*lines) == names


def test_lettered_appendices_come_after_the_conclusion_only() -> None:
    assert found("A Proof of Things") == [None]
    assert found("1 Conclusion", "A Proof of Things", "A.1 Part", "B More Proofs", "F Stray") == [
        "Conclusion", "Proof of Things", "Part", "More Proofs", None,
    ]  # fmt: skip


def test_named_and_capital_headings() -> None:
    assert found("Abstract", "Acknowledgements", "MATERIALS AND METHODS", "I NTRODUCTION") == [
        "Abstract", "Acknowledgements", "Materials And Methods", "Introduction",
    ]  # fmt: skip


def test_abstract_references_and_appendix() -> None:
    assert is_abstract("ABSTRACT")
    assert is_abstract("Abstract. We show")
    assert not is_abstract("Abstract nonsense follows")
    assert inline_abstract("Abstract—We show") == 9
    assert is_references("References")
    assert is_references("7. References")
    assert is_references("ReferencesBengio, Y. and others")
    assert not is_references("References to other work are")
    assert not is_references("references")
    assert is_appendix("Appendix A: Proofs")
    assert not is_appendix("Appendix A shows that we are right.")
