from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from paperlora.pipeline.parse import duplicates
from paperlora.pipeline.parse.duplicates import near_duplicates, sketch

if TYPE_CHECKING:
    from collections.abc import Iterable

WORDS = [f"word{number}" for number in range(3000)]


def text(seed: int, words: int = 3000) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def revised(words: list[str], share: float, seed: int = 1) -> list[str]:
    """Return the words with this share of them replaced."""
    draw = random.Random(seed)
    return [draw.choice(WORDS) if draw.random() < share else word for word in words]


def found(**papers: list[str]) -> list[tuple[str, str]]:
    sketches = {name: sketch([" ".join(words)]) for name, words in papers.items()}
    return [(file, other) for file, other, _ in near_duplicates(sketches)]


def test_versions_of_a_paper_are_near_duplicates_of_the_first_and_other_papers_are_not() -> None:
    first = text(0)
    second = revised(first, 0.05)
    third = revised(second, 0.05, seed=2)
    papers = {"a": text(1), "v1": first, "v2": second, "v3": third, "z": text(2)}
    assert found(**papers) == [("v2", "v1"), ("v3", "v1")]
    longer = [*first, *text(3, 2000)]  # a paper and its longer version in a journal
    assert found(short=first, long=longer) == [("long", "short")]
    # A few passages in common, such as a description of the same data, are not enough.
    assert found(one=[*first[:500], *text(4)], other=[*first[:500], *text(5)]) == []


def test_one_that_resembles_a_near_duplicate_only_is_kept() -> None:
    first = text(0)
    second = revised(first, 0.12)
    third = revised(second, 0.12, seed=2)
    assert found(v1=first, v2=second, v3=third) == [("v2", "v1")]


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_the_share_is_near_the_true_one(share: float) -> None:
    one, other = text(0), revised(text(0), share)
    runs = [{tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (one, other)]
    true = len(runs[0] & runs[1]) / len(runs[0] | runs[1])
    sketches = {"one": sketch([" ".join(one)]), "other": sketch([" ".join(other)])}
    [(_, _, estimate)] = near_duplicates(sketches)
    assert abs(estimate - true) < 0.12


def test_case_and_punctuation_do_not_matter_but_paragraphs_do() -> None:
    assert sketch(["The snail waits, for a day."]) == sketch(["the snail waits for a DAY"])
    assert sketch(["one two three", "four five six"]) == ()
    assert len(sketch(["one two three four five six"])) == 2
    assert near_duplicates({"a": (), "b": ()}) is not None
    assert list(near_duplicates({"a": (), "b": ()})) == []


def test_the_work_grows_with_the_number_of_papers_and_not_with_its_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[int] = []

    def counter(names: Iterable[str]) -> Counter[str]:
        found = Counter(names)
        counted.append(found.total())
        return found

    monkeypatch.setattr(duplicates, "Counter", counter)

    def comparisons(count: int) -> int:
        # All papers have a publisher's notice in common: 20 hashes, too few for near duplicates.
        draw = random.Random(0)
        sketches = {
            str(n): tuple(sorted([*range(20), *(draw.randrange(99, 1 << 32) for _ in range(108))]))
            for n in range(count)
        }
        counted.clear()
        assert list(near_duplicates(sketches)) == []
        return sum(counted)

    assert comparisons(1600) < 2.5 * comparisons(800)
    monkeypatch.setattr(duplicates, "_COMMON", 10_000)
    assert comparisons(1600) > 3.5 * comparisons(800)  # the control: all papers are compared
