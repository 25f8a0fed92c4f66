from __future__ import annotations

import random

import pytest
import synthetic_run as synthetic
from matplotlib.patches import Rectangle

from paperlora.pipeline.report.plots import words


def documents(count: int, field: str = "ai") -> list[dict[str, object]]:
    rng = random.Random(1)
    return [synthetic.document(f"paper-{number:02d}", field, rng) for number in range(count)]


def test_one_cloud_a_paper_until_there_are_many() -> None:
    assert words.groups(documents(12))[0][0] == "paper-00"
    assert len(words.groups(documents(12))) == 12
    many = documents(10) + documents(4, "climate") + documents(1, "")
    shown = words.groups(many)
    assert [field for _, field, _ in shown] == ["ai", "climate", ""]
    assert shown[0][0] == "AI, 10\u00a0papers"


def test_hatch_tells_the_extractor_and_longest_paper_of_a_field_comes_first() -> None:
    rows = documents(3)
    rows[2]["extractor"] = "pypdf2"
    for row, size in zip(rows, (100, 300, 200), strict=True):
        row["words"] = size
    axes = words.words(rows).axes[0]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == [300, 200, 100]
    assert [bar.get_hatch() for bar in bars] == ["", "////", ""]


@pytest.mark.parametrize("text", ["", "12 § 7", "the figure of the table", "x" * 300])
def test_a_paper_without_usable_words_says_so(text: str) -> None:
    rows = documents(1)
    rows[0]["paragraphs"] = [{"page": 1, "section": "", "text": text}]
    axes = words.clouds(rows).axes[0]
    assert axes.texts[0].get_text() == "no words"
    rows[0]["paragraphs"] = [{"page": 1, "section": "", "text": "gradient"}]
    assert not words.clouds(rows).axes[0].texts


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (2, (1, 2)), (4, (2, 2)), (5, (2, 3))])
def test_clouds_stand_in_a_grid(count: int, grid: tuple[int, int]) -> None:
    rows = documents(count)
    for row in rows:
        row["paragraphs"] = []
    assert len(words.clouds(rows).axes) == grid[0] * grid[1]


def test_no_papers_at_all() -> None:
    assert words.words([]).axes[0].texts[0].get_text() == "no papers"
    assert words.clouds([]).axes[0].texts[0].get_text() == "no papers"
