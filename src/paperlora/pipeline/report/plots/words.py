"""Draw the corpus: how many words each paper gave, and which are the most frequent."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from wordcloud import STOPWORDS, WordCloud

from paperlora.pipeline.report.plots.palette import MUTED, SIZE, field_look, nothing, short
from paperlora.pipeline.report.wording import count
from paperlora.pipeline.text import FORMULA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED = 17
MOST_CLOUDS = 12
"""With more papers than this, there is one cloud per field."""

STOP = STOPWORDS | set(
    """
    al also based can case cent consider corresponding define defined denote each eq equation et
    even every example fig figure first follow following follows given gives hence however
    illustrate include including large let many may might much must note obtain one paper papers
    per reference references respectively result results second section see several shall show
    shown shows since small still table ten thousand three thus two use used uses using various
    via we well will within without would
    """.split()  # noqa: SIM905 - a list of eighty quoted words is harder to read
)
"""Words that every paper has and that tell nothing about it."""

LONGEST = 24
"""Letters; a longer word is usually words glued together, and does not fit on a small cloud."""

HATCHES = {"pypdf2": "////", "pdfium": ""}


def words(documents: list[dict[str, Any]]) -> Figure:
    """Draw the number of words of each paper, grouped by field; the hatch shows the extractor."""
    rows = sorted(documents, key=lambda item: (item["field"] or "~", -item["words"], item["paper"]))
    figure = Figure(figsize=(SIZE, 1.3 + 0.27 * max(2, len(rows))), layout="constrained")
    axes = figure.subplots()
    if not rows:
        nothing(axes, "no papers")
        return figure
    bars = axes.barh(
        range(len(rows)),
        [item["words"] for item in rows],
        color=[field_look(item["field"])[1] for item in rows],
        hatch=[HATCHES.get(item["extractor"], "") for item in rows],
        edgecolor="white",
        linewidth=0,
    )
    axes.bar_label(bars, [f"{item['words']:,}" for item in rows], padding=3, fontsize=8)
    axes.set_yticks(range(len(rows)), [short(item["paper"], 34) for item in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.13 * max(1, *(item["words"] for item in rows)))
    axes.set_xlabel("words after cleaning")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", visible=True)
    axes.grid(axis="y", visible=False)
    figure.legend(handles=_legend(rows), loc="outside lower center", ncols=3)
    return figure


def _legend(rows: list[dict[str, Any]]) -> list[Patch]:
    """Return the explanation of the colours and hatches that occur."""
    fields = sorted({item["field"] for item in rows}, key=lambda field: field or "~")
    looks = map(field_look, fields)
    patches = [Patch(color=colour, label=name) for name, colour in looks]
    for extractor in sorted({item["extractor"] for item in rows}, reverse=True):
        hatch = HATCHES.get(extractor, "")
        look: dict[str, Any] = {"facecolor": MUTED, "edgecolor": "white", "linewidth": 0}
        patches.append(Patch(hatch=hatch, label=f"read by {extractor}", **look))
    return patches


def groups(documents: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return (title, field, text) of each cloud: one per paper, or one per field when there are many."""
    each = "paper" if len(documents) <= MOST_CLOUDS else "field"
    ordered = sorted(documents, key=lambda item: (item["field"] or "~", item["paper"]))
    found = []
    for name, group in itertools.groupby(ordered, key=lambda item: str(item[each])):
        papers = list(group)
        text = "\n".join(
            part["text"].replace(FORMULA, "") for item in papers for part in item["paragraphs"]
        )
        title = f"{field_look(name)[0]}, {count(len(papers), 'paper')}"
        found.append((name if each == "paper" else title, papers[0]["field"], text))
    return found


def clouds(documents: list[dict[str, Any]]) -> Figure:
    """Draw the most frequent words of each paper (or field), larger when they are more frequent."""
    shown = groups(documents)
    columns = {0: 1, 1: 1, 2: 2, 4: 2}.get(len(shown), 3)
    rows = max(1, math.ceil(len(shown) / columns))
    width = SIZE / columns
    height = width * (0.5 if columns == 1 else 0.72)
    figure = Figure(figsize=(SIZE, rows * (height + 0.3)), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    if not shown:
        nothing(grid[0, 0], "no papers")
        return figure
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (title, field, text) in zip(grid.flat, shown, strict=False):
        title_width = 30 if columns == 3 else 60
        look = {"fontsize": 7.5, "color": field_look(field)[1]}
        axes.set_title(short(title, title_width), look, loc="center")
        _cloud(axes, field, text, (width, height), most=140 if columns == 1 else 45)
    return figure


def _cloud(axes: Axes, field: str, text: str, inches: tuple[float, float], *, most: int) -> None:
    """Fill ``axes`` with one cloud; a coarse layout that is drawn finely takes little time."""
    rgb = to_rgb(field_look(field)[1])
    cloud = WordCloud(
        width=round(inches[0] * 100),
        height=round(inches[1] * 100),
        scale=3,
        max_words=most,
        min_word_length=3,
        min_font_size=7,
        prefer_horizontal=0.9,
        relative_scaling=0.4,
        collocations=False,
        stopwords=STOP,
        background_color="white",
        font_path=str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")),
        random_state=SEED,
        # some words are darker than others, so that neighbours can be told apart
        colormap=ListedColormap([[light * part for part in rgb] for light in (1.0, 0.8, 0.6)]),
    )
    counts = {word: n for word, n in cloud.process_text(text).items() if len(word) <= LONGEST}
    if not counts:
        nothing(axes, "no words")
        return
    axes.imshow(cloud.generate_from_frequencies(counts), interpolation="antialiased")
