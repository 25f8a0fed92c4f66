from __future__ import annotations

from typing import Any

import pytest
import synthetic_training
from matplotlib.patches import Rectangle

from paperlora.pipeline.report.plots import adapter


def modules(*projections: tuple[str, str, int, int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = synthetic_training.training(1, projections=projections)[
        "adapter"
    ]["modules"]
    return found


def names(rows: dict[str, list[list[adapter.Cell]]]) -> dict[str, list[list[str]]]:
    return {group: [[c.name for c in stage] for stage in rows[group]] for group in rows}


def texts(train: dict[str, Any]) -> list[str]:
    figure = adapter.draw(train["model"], train["adapter"])
    return [text.get_text() for text in figure.axes[0].texts]


def test_seven_projections_stand_in_the_order_of_the_data() -> None:
    rows = adapter.layout(modules(*reversed(synthetic_training.PROJECTIONS)))
    assert names(rows) == {
        "attention": [["q_proj", "k_proj", "v_proj"], ["o_proj"]],
        "mlp": [["gate_proj", "up_proj"], ["down_proj"]],
    }
    assert all(cell.module for stages in rows.values() for stage in stages for cell in stage)


def test_projections_without_adapter_are_drawn_as_such() -> None:
    two = (("q_proj", "attention", 64, 64), ("v_proj", "attention", 64, 32))
    rows = adapter.layout(modules(*two))
    bare = [c.name for s in rows.values() for stage in s for c in stage if c.module is None]
    assert bare == ["k_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert texts(synthetic_training.training(1, projections=two)).count("no\nadapter") == 5
    assert "no\nadapter" not in texts(synthetic_training.training(1))


def test_unusual_names_and_two_shapes_of_one_name() -> None:
    rows = adapter.layout(modules(("c_attn", "attention", 64, 192)))
    assert names(rows) == {"attention": [["c_attn"]]}
    twice = modules(("q_proj", "attention", 64, 64), ("q_proj", "attention", 64, 128))
    assert names(adapter.layout(twice))["attention"][0][:2] == ["q_proj", "q_proj"]


def test_sides_grow_with_the_square_root_of_the_dimension() -> None:
    train = synthetic_training.training(1, projections=(("c_attn", "attention", 400, 1600),))
    axes = adapter.draw(train["model"], train["adapter"]).axes[0]
    sizes = {
        (round(patch.get_width(), 6), round(patch.get_height(), 6))
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    }
    assert (adapter.SIDE / 2, adapter.SIDE) in sizes


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
