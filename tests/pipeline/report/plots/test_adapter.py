from __future__ import annotations

import io
import itertools
from typing import Any

import pytest
import synthetic_training
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from paperlora.pipeline.report.plots import adapter


def modules(*projections: tuple[str, str, int, int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = synthetic_training.training(1, projections=projections)[
        "adapter"
    ]["modules"]
    return found


def names(projections: list[dict[str, Any]]) -> dict[str, list[list[str]]]:
    rows = adapter.layout(projections)
    return {title: [[cell["name"] for cell in stage] for stage in row] for title, row in rows}


def texts(train: dict[str, Any]) -> list[str]:
    figure = adapter.draw(train["model"], train["adapter"])
    return [text.get_text() for text in figure.axes[0].texts]


def test_seven_projections_are_in_the_order_of_the_data() -> None:
    assert names(modules(*reversed(synthetic_training.PROJECTIONS))) == {
        "Attention": [["q_proj", "k_proj", "v_proj"], ["o_proj"]],
        "MLP": [["gate_proj", "up_proj"], ["down_proj"]],
    }


def test_projections_without_adapter_are_drawn_as_such() -> None:
    two = (("q_proj", "attention", 64, 64), ("v_proj", "attention", 64, 32))
    cells = [cell for _, row in adapter.layout(modules(*two)) for stage in row for cell in stage]
    bare = [cell["name"] for cell in cells if "rank" not in cell]
    assert bare == ["k_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert texts(synthetic_training.training(1, projections=two)).count("no\nadapter") == 5
    assert "no\nadapter" not in texts(synthetic_training.training(1))


def test_unusual_names_and_two_shapes_of_one_name() -> None:
    assert names(modules(("c_attn", "attention", 64, 192))) == {"Attention": [["c_attn"]]}
    twice = modules(("q_proj", "attention", 64, 64), ("q_proj", "attention", 64, 128))
    assert names(twice)["Attention"] == [["q_proj", "q_proj", "k_proj", "v_proj"]]
    assert names(twice)["Attention, continued"] == [["o_proj"]]


def test_sides_grow_with_the_square_root_of_the_dimension() -> None:
    train = synthetic_training.training(1, projections=(("c_attn", "attention", 400, 1600),))
    axes = adapter.draw(train["model"], train["adapter"]).axes[0]
    (wide, high), *_ = [
        (patch.get_width(), patch.get_height())
        for patch in axes.patches
        if isinstance(patch, Rectangle) and patch.get_facecolor() == to_rgba(adapter.FROZEN)
    ]
    assert wide == pytest.approx(high / 2)


LONG = tuple((f"per_layer_projection_of_block_{i}", "attention", 64, 2048) for i in range(7))
TINY = tuple((name, group, 64, 128) for name, group, *_ in synthetic_training.PROJECTIONS)


def overlaps(projections: Any) -> int:
    """Return how many texts lie on another text or on a matrix that is not their own."""
    train = synthetic_training.training(1, projections=projections)
    figure = adapter.draw(train["model"], train["adapter"])
    figure.savefig(io.BytesIO())  # places everything
    axes = figure.axes[0]
    texts = [text.get_window_extent() for text in axes.texts if text.get_text() not in ("W", "")]
    boxes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, Rectangle)]
    pairs = sum(text.overlaps(box) for text in texts for box in boxes)
    return pairs + sum(one.overlaps(other) for one, other in itertools.combinations(texts, 2))


@pytest.mark.parametrize("projections", [synthetic_training.PROJECTIONS, TINY, LONG, TINY + TINY])
def test_no_text_lies_on_a_matrix_or_another_text(projections: Any) -> None:
    assert overlaps(projections) == 0


@pytest.mark.parametrize(("name", "value"), [("SIDE", 1.2), ("WIDEST", 99.0)])
def test_the_check_for_overlaps_can_fail(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    monkeypatch.setattr(adapter, name, value)
    assert overlaps(TINY + LONG) > 0


def test_numbers_are_those_of_the_run() -> None:
    train = synthetic_training.training(1)
    shown = texts(train)
    assert "576 → 1,536" in shown
    assert "506,880 trained" in shown
    total = "2,442,240 trained parameters beside 134,515,008 frozen ones: 1.8\u00a0% of all"
    assert total in shown
    train["adapter"]["modules"][0]["layers"] = 1
    assert "rank 8, 1\u00a0layer" in texts(train)


@pytest.mark.parametrize("count", [0, 1])
def test_few_modules_do_not_break_the_drawing(count: int) -> None:
    train = synthetic_training.training(1, projections=synthetic_training.PROJECTIONS[:count])
    assert adapter.draw(train["model"], train["adapter"]).axes
