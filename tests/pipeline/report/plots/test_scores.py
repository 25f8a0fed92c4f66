from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import synthetic_run as synthetic
from matplotlib.collections import LineCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.transforms import Bbox

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
    assert [label.get_text() for label in left.get_xticklabels()][-1] == "\ntest\n(n = 48)"


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


def crossings(axes: Axes) -> int:
    """Return how many values of bars lie on a whisker or on another value."""
    axes.figure.savefig(io.BytesIO())  # places everything
    values = [text.get_window_extent() for text in axes.texts]
    whiskers = [
        Bbox(axes.transData.transform(segment)).padded(1)
        for container in axes.containers
        if isinstance(container, ErrorbarContainer)
        for bars in container.lines[2]
        for segment in bars.get_segments()
    ]
    pairs = sum(value.overlaps(whisker) for value in values for whisker in whiskers)
    return pairs + sum(one.overlaps(other) for one, other in itertools.combinations(values, 2))


@pytest.mark.parametrize(
    "numbers", [(4, 0.0, 256.3), (24, 0.375, 3.43), (9, 1.0, 9999.9), (9, None, 1.5e8)]
)
def test_values_lie_on_no_whisker_and_not_on_each_other(
    numbers: tuple[int, float | None, float],
) -> None:
    both = splits(*numbers)
    for score in both.values():
        score["accuracy_ci95"] = [0.0, 1.0]
    left, right = drawn(base=both, tuned=both)
    assert crossings(left) == crossings(right) == 0
    assert len(left.texts) == len(right.texts) == 6
    left.text(0.2, 0.0, "on a whisker")
    assert bool(crossings(left)) is (numbers[1] is not None)
