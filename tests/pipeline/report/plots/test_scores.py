from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import synthetic_run as synthetic
from matplotlib.collections import LineCollection

from paperlora.pipeline.report.plots import scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def drawn(**changes: Any) -> tuple[Axes, Axes]:
    left, right = scores.accuracy(synthetic.evaluation(**changes)).axes
    return left, right


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def splits(n: int, accuracy: float | None, perplexity: float | None) -> dict[str, Any]:
    return {name: synthetic.scores(n, accuracy, perplexity) for name in scores.SPLITS}


def test_bars_carry_their_values() -> None:
    left, right = drawn()
    assert "35.4" in texts(left)
    assert "17.4" in texts(right)
    assert "n/a" not in texts(left) + texts(right)
    assert [label.get_text() for label in left.get_xticklabels()][-1] == "test\n(n = 48)"


@pytest.mark.parametrize("base", [splits(10, None, None), splits(0, 0.0, None)])
def test_what_was_not_measured_has_no_bar(base: dict[str, Any]) -> None:
    left, right = drawn(base=base)
    assert texts(left).count("n/a") == 3
    assert texts(right).count("n/a") == 3


def control_lines(axes: Axes) -> list[LineCollection]:
    found = [item for item in axes.collections if isinstance(item, LineCollection)]
    return [item for item in found if str(item.get_label()).startswith("best control")]


def test_control_lies_over_the_test_bars_only() -> None:
    left, _ = drawn(controls={"lead": {"accuracy": 0.2}, "other": {"accuracy": 0.1}})
    (line,) = control_lines(left)
    assert "(lead)" in str(line.get_label())
    (segment,) = line.get_segments()
    assert segment.tolist() == [[1.5, 0.2], [2.5, 0.2]]
    assert not control_lines(drawn(controls={})[0])


def test_perplexities_far_apart_get_a_logarithmic_axis() -> None:
    assert drawn()[1].get_yscale() == "linear"
    axes = drawn(base=splits(10, 0.1, 90_000.0))[1]
    assert axes.get_yscale() == "log"
    assert "10,000" in [label.get_text() for label in axes.get_yticklabels()]


def test_an_interval_beside_its_estimate_is_drawn() -> None:
    tuned = splits(10, 0.5, 10.0)
    tuned["test"]["accuracy_ci95"] = [0.6, 0.7]
    assert "50.0" in texts(drawn(tuned=tuned)[0])
