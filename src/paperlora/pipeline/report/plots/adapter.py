"""Draw one transformer block with its adapter, all shapes and ranks of the run on one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from paperlora.pipeline.report.plots.palette import BLUE, MUTED, ORANGE, SIZE, short
from paperlora.pipeline.report.wording import count, number, percent, trained_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One projection: its entry of ``adapter.modules``, or None where it carries no adapter."""

    name: str
    module: dict[str, Any] | None


def layout(modules: list[dict[str, Any]]) -> dict[str, list[list[Cell]]]:
    """Return group → stages → cells, with empty cells for usual projections without an adapter.

    A name that occurs twice (layers of two shapes) gives two cells; unusual names come last.
    """
    usual = {name for stages in FAMILIES.values() for stage in stages for name in stage}
    rows: dict[str, list[list[Cell]]] = {}
    if any(item["name"] in usual for item in modules):
        for group, stages in FAMILIES.items():
            rows[group] = [
                [cell for name in stage for cell in _cells(name, modules)] for stage in stages
            ]
    for item in modules:
        if item["name"] not in usual:
            rows.setdefault(item["group"], []).append([Cell(name=item["name"], module=item)])
    return rows


def _cells(name: str, modules: list[dict[str, Any]]) -> list[Cell]:
    named = [item for item in modules if item["name"] == name]
    return [Cell(name=name, module=item) for item in named] or [Cell(name=name, module=None)]


def lines(stages: list[list[Cell]]) -> list[list[list[Cell]]]:
    """Split the stages of a group into lines that are at most ``WIDEST``."""
    most = int((WIDEST - 2 * MARGIN) / CELL)
    found: list[list[list[Cell]]] = [[]]
    for stage in stages:
        for start in range(0, len(stage), most):
            part = stage[start : start + most]
            if found[-1] and _row_width([*found[-1], part]) > WIDEST:
                found.append([])
            found[-1].append(part)
    return found


def _row_width(stages: list[list[Cell]]) -> float:
    return sum(map(len, stages)) * CELL + (len(stages) - 1) * GAP + 2 * MARGIN


def draw(model: dict[str, Any], adapter: dict[str, Any]) -> Figure:
    """Draw the block, with a bar that shows the trainable share of all parameters.

    Each side of a rectangle grows with the square root of its dimension, for ranks too, so that a
    rank of 8 beside a width of 16,384 can be seen and all sizes can be compared.
    """
    modules = adapter["modules"]
    rows = [
        (TITLES.get(group, group) + (", continued" if index else ""), line)
        for group, stages in layout(modules).items()
        for index, line in enumerate(lines(stages))
    ]
    width = max([6.5, *(_row_width(line) for _, line in rows)])
    height = HEAD + PANEL * len(rows) + FOOT
    figure = Figure(figsize=(SIZE, SIZE * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.text(0.2, height - 0.2, _title(adapter), weight="bold", va="center")
    _legend(axes, height - 0.46, model)
    longest = max([1, *(max(m["in"], m["out"]) ** 0.5 + m["rank"] ** 0.5 for m in modules)])
    for index, (title, line) in enumerate(rows):
        corner = (width, height - HEAD - PANEL * index)
        _panel(axes, title, line, corner, (SIDE - SPACE) / longest)
    _share(axes, model, width)
    return figure


def _title(adapter: dict[str, Any]) -> str:
    numbers = f"rank {adapter['rank']}, alpha {adapter['alpha']}, dropout {adapter['dropout']}"
    return f"One transformer block with LoRA: {numbers}"


def _legend(axes: Axes, y: float, model: dict[str, Any]) -> None:
    """Name the three colours."""
    method = (model.get("quantization") or {}).get("method") or "not quantised"
    entries = (
        (FROZEN, f"W, frozen ({method})"),
        (A_COLOUR, "A: in → rank, trained"),
        (B_COLOUR, "B: rank → out, trained"),
    )
    for index, (colour, text) in enumerate(entries):
        x = 0.2 + 2.05 * index
        axes.add_patch(Rectangle((x, y - 0.06), 0.16, 0.12, color=colour, linewidth=0))
        axes.text(x + 0.23, y, text, va="center", fontsize=8)


def _panel(
    axes: Axes, title: str, stages: list[list[Cell]], corner: tuple[float, float], unit: float
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
    for cells in stages:
        for cell in cells:
            _cell(axes, cell, (x + CELL / 2, middle), unit)
            x += CELL
        _arrow(axes, x + 0.02, middle)
        x += GAP


def _arrow(axes: Axes, x: float, y: float) -> None:
    axes.annotate(
        "", (x + 0.26, y), (x, y), arrowprops={"arrowstyle": "->", "color": MUTED, "linewidth": 1.2}
    )


def _cell(axes: Axes, cell: Cell, centre: tuple[float, float], unit: float) -> None:
    """Draw W with A under it and B to its right (B·A has the shape of W), and its sizes below."""
    x, y = centre
    axes.text(x, y + 0.6, short(cell.name, 16), weight="bold", ha="center", va="center")
    if cell.module is None:
        side = 0.7 * SIDE
        corner, colour = (x - side / 2, y - side / 2), MUTED
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linestyle="--"))
        axes.text(x, y, "no\nadapter", ha="center", va="center", fontsize=8, color=MUTED)
        return
    wide, high, thin = (unit * cell.module[key] ** 0.5 for key in ("in", "out", "rank"))
    left, bottom = x - (wide + SPACE + thin) / 2, y - (high - SPACE - thin) / 2
    for corner, w, h, colour in (
        ((left, bottom), wide, high, FROZEN),
        ((left, bottom - SPACE - thin), wide, thin, A_COLOUR),
        ((left + wide + SPACE, bottom), thin, high, B_COLOUR),
    ):
        axes.add_patch(Rectangle(corner, w, h, color=colour, linewidth=0))
    axes.text(left + wide / 2, bottom + high / 2, "W", ha="center", va="center", fontsize=8)
    for line, text in enumerate(_facts(cell.module)):
        axes.text(x, y - 0.62 - 0.155 * line, text, ha="center", va="center", fontsize=7.5)


def _facts(module: dict[str, Any]) -> tuple[str, str, str]:
    """Return the lines under a projection: shape; rank and layers; parameters of all A and B."""
    return (
        f"{module['in']:,} → {module['out']:,}",
        f"rank {module['rank']}, {count(module['layers'], 'layer')}",
        f"{module['parameters']:,} trained",
    )


def _share(axes: Axes, model: dict[str, Any], width: float) -> None:
    """Draw all parameters as one bar, the trained ones as its coloured end."""
    share = trained_share(model)
    full = width - 0.4
    axes.add_patch(Rectangle((0.2, 0.42), full, 0.14, color=FROZEN, linewidth=0))
    axes.add_patch(Rectangle((0.2, 0.42), full * share, 0.14, color=B_COLOUR, linewidth=0))
    trained, frozen = number(model["trainable"]), number(model["parameters"])
    text = f"{trained} trained parameters beside {frozen} frozen ones: {percent(share)} of all"
    axes.text(0.2, 0.22, text, va="center", fontsize=8)
