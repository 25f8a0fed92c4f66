"""Accuracy and perplexity of the base and the tuned model on each split, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter

from paperlora.pipeline.dataset.dataset import SPLITS
from paperlora.pipeline.report.plots.palette import BLUE, GREY, INK, SIZE, VERMILLION
from paperlora.pipeline.report.verdict import best_control
from paperlora.pipeline.report.wording import number, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

MODELS = (("base", -0.2, GREY), ("tuned", 0.2, BLUE))
"""Name, place beside the middle of its split, colour."""
BAR = 0.36
LOG_RATIO = 20
"""Perplexities further apart than this are drawn on a logarithmic axis."""


def accuracy(evaluated: dict[str, Any]) -> Figure:
    """Draw accuracy with its 95 % intervals on the left, perplexity on the right."""
    figure = Figure(figsize=(SIZE, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    _accuracy(left, evaluated)
    _perplexity(right, evaluated)
    for axes in (left, right):
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.55, len(SPLITS) - 0.45)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _scores(evaluated: dict[str, Any]) -> Iterator[tuple[float, str, str, dict[str, Any]]]:
    """Yield centre, colour, label (once a model) and S of each bar."""
    for model, offset, colour in MODELS:
        for index, split in enumerate(SPLITS):
            label = "" if index else f"{model} model"
            yield index + offset, colour, label, evaluated[model][split]


def _under(axes: Axes, x: float, text: str) -> None:
    """Write the value of a bar under it, where no whisker or other bar can be."""
    place = axes.get_xaxis_transform()
    axes.text(x, -0.015, text, ha="center", va="top", fontsize=7.5, transform=place)


def _accuracy(axes: Axes, evaluated: dict[str, Any]) -> None:
    tops = [0.0]
    for x, colour, label, score in _scores(evaluated):
        measured = score["accuracy"] if score["n"] else None
        axes.bar(x, measured or 0, BAR, color=colour, label=label)
        _under(axes, x, "n/a" if measured is None else number(100 * measured, 1))
        if measured is None:
            continue
        low, high = (measured if b is None else b for b in score["accuracy_ci95"])
        # rounding can leave an estimate just outside its interval; no whisker may be negative
        reach = [[max(0, measured - low)], [max(0, high - measured)]]
        axes.errorbar(x, measured, reach, color=INK, capsize=3, linewidth=1.2)
        tops.append(max(high, measured))
    tops.append(_control(axes, evaluated["controls"]))
    counts = [evaluated["tuned"][split]["n"] for split in SPLITS]
    names = [f"\n{split}\n(n = {n})" for split, n in zip(SPLITS, counts, strict=True)]
    axes.set_xticks(range(len(SPLITS)), names)
    axes.set_ylim(0, min(1.08, 1.15 * max(tops)) or 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.0f}"))
    axes.set_title("Accuracy in % (higher is better)")


def _brief(value: float | None) -> str:
    """Write a perplexity so short that it fits under its bar: ``3.43``, ``252``, ``90k``."""
    if value is None:
        return "n/a"
    if value >= 1000:
        return str(EngFormatter(places=1 if value < 10_000 else 0, sep="")(value))
    return number(value, 0 if value >= 100 else None)


def _control(axes: Axes, controls: dict[str, Any]) -> float:
    """Draw the best control over the test bars, since it was measured on test only; return it."""
    best = best_control(controls)
    if best is None:
        return 0.0
    name, level = best
    middle = SPLITS.index("test")
    label = f"best control on test ({name}): {percent(level)}"
    axes.hlines(level, middle - 0.5, middle + 0.5, VERMILLION, "--", linewidth=2, label=label)
    return level


def _perplexity(axes: Axes, evaluated: dict[str, Any]) -> None:
    heights = []
    for x, colour, _, score in _scores(evaluated):
        value = score["perplexity"]
        _under(axes, x, _brief(value))
        if value is not None:
            heights.append(value)
            axes.bar(x, value, BAR, color=colour)
    axes.set_xticks(range(len(SPLITS)), [f"\n{split}" for split in SPLITS])
    axes.set_title("Perplexity (lower is better)")
    if heights and max(heights) > LOG_RATIO * min(heights) > 0:
        axes.set_yscale("log")
        # the default labels of such an axis are formulas, which the style shows as plain text
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
        axes.set_ylim(min(heights) / 2, 2 * max(heights))
    else:
        axes.set_ylim(0, 1.12 * max(heights, default=1) or 1)
