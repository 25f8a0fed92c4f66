"""``report.html`` and the model card, rendered from ``report.json`` with the templates beside this file.

All text comes from PDFs, models and people. In ``report.html`` the template engine escapes it, and
a content security policy forbids the file to run or load anything; in ``card.md``, ``plain`` does.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paperlora.pipeline.dataset.dataset import SPLITS
from paperlora.pipeline.report import verdict, wording
from paperlora.pipeline.report.plots.palette import field_look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LICENCES = {
    "Apache-2.0": "apache-2.0",
    "CC0-1.0": "cc0-1.0",
    "Gemma Terms of Use": "gemma",
    "MIT": "mit",
}
"""Licence as this project writes it → as the hub does."""


class Markdown(str):
    """Text that is Markdown already; all other text is escaped before it goes into a card."""

    __slots__ = ()


def plain(value: object) -> Markdown:
    """Return one line of Markdown that shows the text of ``value`` and nothing else.

    Markup, HTML, links and table cells in ``value`` lose their effect.
    """
    if isinstance(value, Markdown):
        return value
    line = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;")
    return Markdown(re.sub(r"([\\`*_{}\[\]#|>~!$])", r"\\\1", line))


def code(value: object) -> Markdown:
    """Return the text of ``value`` as a code span on one line."""
    return Markdown(f"`{' '.join(str(value).split()).replace('`', chr(39))}`")


def quoted(value: object) -> Markdown:
    """Return ``value`` as JSON; for a string, this is a literal in YAML and in Python too."""
    return Markdown(json.dumps(value))


def written(value: object) -> str:
    """Return a text as it is, a dash for no value, and any other value as JSON."""
    if value is None or isinstance(value, str):
        return value or wording.ABSENT
    return json.dumps(value, ensure_ascii=False)


def html(report: dict[str, Any], pictures: Mapping[str, bytes]) -> str:
    """Return ``report.html`` for ``report.json`` and its pictures (file name → PNG)."""
    rows = wording.environment_rows(report)
    return _render(
        "report.html",
        report,
        uris={
            name: f"data:image/png;base64,{base64.b64encode(picture).decode()}"
            for name, picture in pictures.items()
        },
        # answers about papers that training never saw come first
        samples=sorted(report["samples"], key=lambda item: -SPLITS.index(item["split"])),
        trained_share=wording.trained_share(report["model"]),
        step=wording.step(report["train"]),
        facts=[row for row in rows if not row[0].startswith("packages.")],
        packages=[row for row in rows if row[0].startswith("packages.")],
        differences=wording.differing(rows),
    )


def card(report: dict[str, Any]) -> str:
    """Return ``adapter/README.md`` for ``report.json``."""
    return _render(
        "card.md",
        report,
        finalize=plain,
        projections=list(dict.fromkeys(item["name"] for item in report["adapter"]["modules"])),
        # the name on the hub where the run has one, else the name in this project
        base=report["model"].get("repository") or report["model"]["id"],
        licence=report["model"].get("licence") or "unknown",
        licences=LICENCES,
    )


def _render(
    template: str,
    report: dict[str, Any],
    *,
    finalize: Callable[[object], str] | None = None,
    **values: object,
) -> str:
    """Return ``template`` filled with ``report``, with what both templates show, and ``values``."""
    engine = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=template.endswith(".html"),
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (
        *(wording.number, wording.percent, wording.points, wording.interval, wording.count),
        *(wording.memory, wording.duration, wording.flatten),
        *(code, quoted, written, field_look),
    )
    engine.filters |= {function.__name__: function for function in filters}
    return engine.get_template(template).render(
        report=report,
        verdict=verdict.verdict(report),
        unverified=wording.unverified(report["environments"]),
        splits=SPLITS,
        run=shlex.quote(report["run_argument"]),
        **values,
    )
