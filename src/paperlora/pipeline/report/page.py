"""``report.html``: one file that needs nothing else, made from ``report.json`` and the pictures.

All text comes from PDFs, models and people, so all of it is escaped by the template engine, and a
content security policy forbids the page to run or load anything.
"""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paperlora.pipeline.dataset.dataset import SPLITS
from paperlora.pipeline.report.plots.palette import field_name
from paperlora.pipeline.report.wording import (
    ABSENT,
    count,
    duration,
    interval,
    memory,
    number,
    percent,
    points,
    trained_share,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


SAMPLE_ORDER = {"test": 0, "validation": 1, "train": 2}
"""Answers about papers that training never saw come first."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One key figure: what it is, its value, and what to hold it against."""

    label: str
    value: str
    note: str


def tiles(report: dict[str, Any]) -> list[Tile]:
    """Return the key figures in the order of their weight."""
    base, tuned = (report["eval"][model]["test"] for model in ("base", "tuned"))
    corpus, model, train = report["corpus"], report["model"], report["train"]
    peak = train["peak_memory"]
    on_gpu = peak.get("gpu_allocated_bytes") is not None
    ended = "stopped early" if train["stopped_early"] else "ran to the end"
    speed = train["tokens_per_second"]
    return [
        Tile(
            label="Test perplexity",
            value=number(tuned["perplexity"]),
            note=f"{number(base['perplexity'])} before tuning; lower is better",
        ),
        Tile(
            label="Test accuracy",
            value=percent(tuned["accuracy"]),
            note=f"{percent(base['accuracy'])} before; "
            f"95 % interval {interval(tuned['accuracy_ci95'])}",
        ),
        Tile(
            label="Generalisation gap",
            value=points(report["eval"]["generalisation_gap"]),
            note="train minus test accuracy of the tuned model; near 0 is good",
        ),
        Tile(
            label="Trained parameters",
            value=percent(trained_share(model)),
            note=f"{number(model['trainable'])} beside {number(model['parameters'])} frozen ones",
        ),
        Tile(
            label="Optimiser steps",
            value=f"{number(train['steps'])} of {number(train['max_steps'])}",
            note=f"{ended}; best step {number(train['best_step'])}",
        ),
        Tile(
            label="Training time",
            value=duration(train["seconds"]),
            note=ABSENT if speed is None else f"{speed:,.0f} tokens a second",
        ),
        Tile(
            label="Peak GPU memory" if on_gpu else "Peak host memory",
            value=memory(peak["gpu_allocated_bytes"] if on_gpu else peak["host_bytes"]),
            note=f"{memory(peak['gpu_reserved_bytes'])} reserved; host {memory(peak['host_bytes'])}"
            if on_gpu
            else "trained without a GPU",
        ),
        Tile(
            label="Corpus",
            value=count(corpus["papers"], "paper"),
            note=f"{count(sum(corpus['words'].values()), 'word')}; "
            f"{count(len(corpus['rejected']), 'file')} rejected",
        ),
    ]


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Yield dotted key and written value for each leaf of nested dictionaries."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def data_uri(picture: bytes) -> str:
    """Return a PNG as an address that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def render(report: dict[str, Any], pictures: Mapping[str, bytes]) -> str:
    """Return the page for ``report.json`` and its pictures (file name → PNG)."""
    engine = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.filters |= {"number": number, "percent": percent, "interval": interval}
    engine.filters |= {"field_name": field_name}
    run = shlex.quote(f"runs/{report['run']}")
    return engine.get_template("report.html").render(
        report=report,
        verdict=verdict(report),
        tiles=tiles(report),
        uris={name: data_uri(picture) for name, picture in pictures.items()},
        splits=SPLITS,
        samples=sorted(report["samples"], key=lambda item: SAMPLE_ORDER.get(item["split"], 9)),
        metric=list(flatten(report["eval"]["metric"])),
        config=list(flatten(report["config"])),
        observed=list(flatten(report["environment"]["observed"])),
        reproduce=f"env/nox -s train eval -- --run {run}",
        ask=f'env/nox -s infer -- --run {run} "question"',
    )
