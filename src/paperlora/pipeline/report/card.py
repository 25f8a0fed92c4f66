"""The adapter's model card: what it is, how to load it, what it scored and saw, where it ends."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paperlora.pipeline.dataset.dataset import SPLITS
from paperlora.pipeline.report.wording import count, interval, number, percent, verdict

LICENCES = {
    "Apache-2.0": "apache-2.0",
    "CC0-1.0": "cc0-1.0",
    "Gemma Terms of Use": "gemma",
    "MIT": "mit",
}
"""Licence as this project writes it → as the hub does."""


class Markdown(str):
    """Text that is Markdown already; all other text is made harmless before it goes into a card."""

    __slots__ = ()


def plain(value: object) -> Markdown:
    """Return one line of Markdown that shows the text of ``value`` and nothing else.

    No markup, HTML, link or table cell of its own survives.
    """
    if isinstance(value, Markdown):
        return value
    line = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;")
    return Markdown(re.sub(r"([\\`*_{}\[\]#|>~!$])", r"\\\1", line))


def code(value: object) -> Markdown:
    """Return the text of ``value`` as a code span on one line."""
    return Markdown(f"`{' '.join(str(value).split()).replace('`', chr(39))}`")


def quoted(value: object) -> Markdown:
    """Return ``value`` as JSON, which is a literal in YAML and in Python too for a string."""
    return Markdown(json.dumps(value))


def render(report: dict[str, Any]) -> str:
    """Return ``adapter/README.md`` for ``report.json``."""
    engine = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701 - this is Markdown: `finalize` escapes it as such
        finalize=plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    engine.filters |= {"number": number, "percent": percent, "interval": interval}
    engine.filters |= {"count": count, "code": code, "json": quoted}
    model = report["model"]
    return engine.get_template("card.md").render(
        report=report,
        verdict=verdict(report),
        splits=SPLITS,
        examples=report["dataset"]["examples"],
        projections=list(dict.fromkeys(item["name"] for item in report["adapter"]["modules"])),
        # the name on the hub where the run knows it, else the name in this project
        base=model.get("repository") or model["id"],
        licence=model.get("licence") or "unknown",
        licences=LICENCES,
        ask=f'env/nox -s infer -- --run {shlex.quote("runs/" + report["run"])} "question"',
    )
