"""Draw all plots of a run as PNG bytes in one style: ``render``, and the curves of loss and memory."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paperlora.pipeline.report.plots import adapter, scores, words
from paperlora.pipeline.report.plots.palette import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    SIZE,
    STYLE,
    VERMILLION,
    nothing,
)
from paperlora.pipeline.report.wording import memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

FEW_POINTS = 10
"""With more points than this, a moving mean is drawn over the training loss."""

MEMORY_LINES = (
    ("host_bytes", "host memory of the process", GREEN),
    ("gpu_allocated_bytes", "GPU, allocated", BLUE),
    ("gpu_reserved_bytes", "GPU, reserved", ORANGE),
)


def render(
    report: dict[str, Any], metrics: list[dict[str, Any]], documents: list[dict[str, Any]]
) -> dict[str, bytes]:
    """Return file name → PNG, from ``report.json`` and the rows of the two ``.jsonl`` files.

    The same values give the same bytes: the fonts come with matplotlib, seeds are fixed, the files
    hold neither dates nor versions, and the user's matplotlib settings have no influence.
    """
    with style.context(["default", STYLE]), warnings.catch_warnings():
        # A name may hold letters that the font lacks; a box for each is enough.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        return {
            "words.png": _png(words.words(documents)),
            "wordclouds.png": _png(words.clouds(documents)),
            "loss.png": _png(loss(report["train"])),
            "accuracy.png": _png(scores.accuracy(report["eval"])),
            "memory.png": _png(memory_use(metrics, report["train"]["peak_memory"])),
            "adapter.png": _png(adapter.draw(report["model"], report["adapter"])),
        }


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _points(pairs: Sequence[Sequence[float | None]]) -> list[tuple[float, float]]:
    """Drop the pairs that lack a number."""
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def smooth(values: Sequence[float]) -> list[float]:
    """Return the centred moving mean; its window is a tenth of ``values`` to each side."""
    reach = max(2, len(values) // 10)
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def loss(train: dict[str, Any]) -> Figure:
    """Draw training and validation loss over steps, and mark the best step and an early stop."""
    figure = Figure(figsize=(SIZE, 3.7), layout="constrained")
    axes = figure.subplots()
    training, validation = _points(train["loss"]), _points(train["validation_loss"])
    if not training and not validation:
        nothing(axes, "no loss was recorded")
        return figure
    if training:
        steps, values = zip(*training, strict=True)
        if len(training) <= FEW_POINTS:
            axes.plot(steps, values, "o-", color=BLUE, markersize=4, label="training")
        else:
            each, mean = "training, each step", "training, moving mean"
            axes.plot(steps, values, color=BLUE, alpha=0.35, linewidth=1, label=each)
            axes.plot(steps, smooth(values), color=BLUE, linewidth=2, label=mean)
    if validation:
        steps, values = zip(*validation, strict=True)
        axes.plot(steps, values, "o-", color=ORANGE, markersize=5, label="validation")
    _marks(axes, train, dict(validation))
    axes.set(xlabel="optimiser step", ylabel="loss (nats per token)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _marks(axes: Axes, train: dict[str, Any], validation: dict[float, float]) -> None:
    """Mark the step whose adapter was kept, and the step at which training stopped early."""
    best = train["best_step"]
    if best in validation:
        look: dict[str, Any] = {"color": VERMILLION, "markersize": 14, "zorder": 5}
        label = f"best: step {best}, {validation[best]:.3f}"
        axes.plot(best, validation[best], "*", label=label, **look)
    elif best is not None:
        axes.axvline(best, color=VERMILLION, linewidth=1, label=f"best: step {best}")
    if train["stopped_early"]:
        label = f"stopped early at {train['steps']} of {train['max_steps']}"
        axes.axvline(train["steps"], color=INK, linestyle=":", linewidth=1.5, label=label)


def memory_use(metrics: list[dict[str, Any]], peak: dict[str, Any]) -> Figure:
    """Draw memory over steps in GiB, with the peak of loading the model as a dashed line."""
    figure = Figure(figsize=(SIZE, 3.3), layout="constrained")
    axes = figure.subplots()
    for key, name, colour in MEMORY_LINES:
        points = _points([(row["step"], row["memory"].get(key)) for row in metrics])
        if not points:
            continue
        steps, sizes = zip(*sorted(points), strict=True)
        label = f"{name}; peak {memory(peak[key])}" if peak.get(key) else name
        held = [size / 2**30 for size in sizes]
        axes.plot(steps, held, marker="o", markersize=2.5, color=colour, label=label)
    loading = peak.get("gpu_load_bytes")
    if loading:
        label = f"GPU while loading; peak {memory(loading)}"
        axes.axhline(loading / 2**30, color=VERMILLION, linestyle="--", label=label)
    if not axes.lines:
        nothing(axes, "no memory was recorded")
        return figure
    axes.set(xlabel="optimiser step", ylabel="memory in GiB")
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=2)
    return figure
