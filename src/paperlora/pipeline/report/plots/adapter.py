"""Draw one transformer block with its adapter, all shapes and ranks of the run on one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle

from paperlora.pipeline.report.plots.palette import BLUE, MUTED, ORANGE, SIZE, short
from paperlora.pipeline.report.wording import count, number, percent, trained_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Stages = list[list[dict[str, Any]]]

FAMILIES = {
    "attention": (("q_proj", "k_proj", "v_proj"), ("o_proj",)),
    "mlp": (("gate_proj", "up_proj"), ("down_proj",)),
}
"""The usual projections of a block, in the order of the data flow; one tuple is one stage."""

TITLES = {"attention": "Attention", "mlp": "MLP"}
FROZEN, A_COLOUR, B_COLOUR = "#D5D9DE", ORANGE, BLUE

SIDE, SPACE, CELL, GAP, MARGIN = 0.92, 0.035, 1.42, 0.3, 0.45
"""Inches: longest side of W and A or B together, space between them, width of a cell, space between
stages, ends of a row."""
WIDEST = 7.0
"""Inches; a longer row would make the picture so wide that the names overlap when it is shown."""
PANEL, HEAD, FOOT = 2.2, 0.62, 0.72
"""Inches: height of a row with its title, of the heading, of the bar at the bottom."""


def layout(modules: list[dict[str, Any]]) -> list[tuple[str, Stages]]:
    """Return the title and the stages of each row; a projection without an adapter has only a name.

    A name that occurs twice (layers of two shapes) gives two cells; unusual names come last.
    """
    named: dict[str, list[dict[str, Any]]] = {}
    for module in modules:
        named.setdefault(module["name"], []).append(module)
    groups: dict[str, Stages] = {}
    if any(name in named for stages in FAMILIES.values() for stage in stages for name in stage):
        for group, stages in FAMILIES.items():
            groups[group] = [
                [module for name in stage for module in named.pop(name, [{"name": name}])]
                for stage in stages
            ]
    for module in (module for unusual in named.values() for module in unusual):
        groups.setdefault(module["group"], []).append([module])
    return [
        (TITLES.get(group, group) + (", continued" if index else ""), row)
        for group, stages in groups.items()
        for index, row in enumerate(_rows(stages))
    ]


def _rows(stages: Stages) -> list[Stages]:
    """Split the stages of a group into rows that are at most ``WIDEST``."""
    most = int((WIDEST - 2 * MARGIN) / CELL)
    rows: list[Stages] = [[]]
    for stage in stages:
        for start in range(0, len(stage), most):
            part = stage[start : start + most]
            if rows[-1] and _row_width([*rows[-1], part]) > WIDEST:
                rows.append([])
            rows[-1].append(part)
    return rows


def _row_width(stages: Stages) -> float:
    return sum(map(len, stages)) * CELL + (len(stages) - 1) * GAP + 2 * MARGIN


def draw(model: dict[str, Any], adapter: dict[str, Any]) -> Figure:
    """Draw the block, with a bar that shows the trainable share of all parameters.

    Each side of a rectangle grows with the square root of its dimension, for ranks too, so that a
    rank of 8 beside a width of 16,384 can be seen and all sizes can be compared.
    """
    modules = adapter["modules"]
    rows = layout(modules)
    width = max([6.5, *(_row_width(stages) for _, stages in rows)])
    height = HEAD + PANEL * len(rows) + FOOT
    figure = Figure(figsize=(SIZE, SIZE * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(0, height))
    numbers = f"rank {adapter['rank']}, alpha {adapter['alpha']}, dropout {adapter['dropout']}"
    title = f"One transformer block with LoRA: {numbers}"
    axes.text(0.2, height - 0.2, title, weight="bold", va="center")
    method = (model.get("quantization") or {}).get("method") or "not quantised"
    colours = {
        f"W, frozen ({method})": FROZEN,
        "A: in → rank, trained": A_COLOUR,
        "B: rank → out, trained": B_COLOUR,
    }
    axes.legend(
        handles=[Patch(color=colour, label=label) for label, colour in colours.items()],
        loc="center left",
        bbox_to_anchor=(0.1, height - 0.46),
        bbox_transform=axes.transData,
        ncols=3,
    )
    longest = max([1, *(max(m["in"], m["out"]) ** 0.5 + m["rank"] ** 0.5 for m in modules)])
    for index, (name, stages) in enumerate(rows):
        corner = (width, height - HEAD - PANEL * index)
        _panel(axes, name, stages, corner, (SIDE - SPACE) / longest)
    _share(axes, model, width)
    return figure


def _panel(
    axes: Axes, title: str, stages: Stages, corner: tuple[float, float], unit: float
) -> None:
    """Draw one row of the block; data flows through its cells from left to right."""
    width, top = corner
    box = FancyBboxPatch(
        (0.15, top - PANEL + 0.12),
        width - 0.3,
        PANEL - 0.17,
        boxstyle="round,pad=0,rounding_size=0.1",
        facecolor="#F7F8FA",
        edgecolor="#DDE1E6",
    )
    axes.add_patch(box)
    axes.text(0.28, top - 0.17, title, weight="bold", color=MUTED, va="center")
    x, middle = (width - _row_width(stages)) / 2 + MARGIN, top - 1.0
    _arrow(axes, x - 0.28, middle)
    for stage in stages:
        for module in stage:
            _cell(axes, module, (x + CELL / 2, middle), unit)
            x += CELL
        _arrow(axes, x + 0.02, middle)
        x += GAP


def _arrow(axes: Axes, x: float, y: float) -> None:
    look = {"arrowstyle": "->", "color": MUTED, "linewidth": 1.2}
    axes.annotate("", (x + 0.26, y), (x, y), arrowprops=look)


def _cell(axes: Axes, module: dict[str, Any], centre: tuple[float, float], unit: float) -> None:
    """Draw W with A under it and B to its right (B·A has the shape of W), and its sizes below."""
    x, y = centre
    middle = {"ha": "center", "va": "center"}
    axes.text(x, y + 0.6, short(module["name"], 16), middle, weight="bold")
    if "rank" not in module:
        side = 0.7 * SIDE
        corner, colour = (x - side / 2, y - side / 2), MUTED
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linestyle="--"))
        axes.text(x, y, "no\nadapter", middle, fontsize=8, color=MUTED)
        return
    wide, high, thin = (unit * module[key] ** 0.5 for key in ("in", "out", "rank"))
    left, bottom = x - (wide + SPACE + thin) / 2, y - (high - SPACE - thin) / 2
    for corner, w, h, colour in (
        ((left, bottom), wide, high, FROZEN),
        ((left, bottom - SPACE - thin), wide, thin, A_COLOUR),
        ((left + wide + SPACE, bottom), thin, high, B_COLOUR),
    ):
        axes.add_patch(Rectangle(corner, w, h, color=colour, linewidth=0))
    axes.text(left + wide / 2, bottom + high / 2, "W", middle, fontsize=8)
    facts = (
        f"{module['in']:,} → {module['out']:,}",
        f"rank {module['rank']}, {count(module['layers'], 'layer')}",
        f"{module['parameters']:,} trained",
    )
    for line, text in enumerate(facts):
        axes.text(x, y - 0.62 - 0.155 * line, text, middle, fontsize=7.5)


def _share(axes: Axes, model: dict[str, Any], width: float) -> None:
    """Draw all parameters as one bar, the trained ones as its coloured end."""
    share = trained_share(model)
    for part, colour in ((1, FROZEN), (share, B_COLOUR)):
        size = (width - 0.4) * part
        axes.add_patch(Rectangle((0.2, 0.42), size, 0.14, color=colour, linewidth=0))
    trained, frozen = number(model["trainable"]), number(model["parameters"])
    text = f"{trained} trained parameters beside {frozen} frozen ones: {percent(share)} of all"
    axes.text(0.2, 0.22, text, va="center", fontsize=8)
