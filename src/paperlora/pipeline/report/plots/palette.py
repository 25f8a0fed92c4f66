"""Size, fonts and colours of all plots.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), chosen so that people
with the usual kinds of colour blindness can tell them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 6.0
"""Inches; shown 700 pixels wide, a plot of this width has 9-point text 15 pixels high."""

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
VERMILLION, PURPLE = "#D55E00", "#CC79A7"
GREY, MUTED, INK = "#A8ADB3", "#8A9099", "#22262B"

FIELDS = {
    "ai": ("AI", BLUE),
    "climate": ("climate science", GREEN),
    "health": ("healthcare", VERMILLION),
    "vision": ("computer vision", PURPLE),
}
"""A paper's field → its name as people write it, its colour."""

STYLE: dict[str, Any] = {
    "savefig.dpi": 150,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in the name of a paper is a dollar sign
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E4E7EB",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
    "hatch.linewidth": 1.2,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.08,
}


def field_look(field: str) -> tuple[str, str]:
    """Return the name and the colour of a field; an unknown field is grey."""
    return FIELDS.get(field, (field or "unknown field", MUTED))


def short(text: str, width: int) -> str:
    """Return ``text`` on one line of at most ``width`` characters, shortened in the middle."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(text) <= width:
        return text
    head = (width - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def nothing(axes: Axes, text: str) -> None:
    """Write on ``axes`` why there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=axes.transAxes)
