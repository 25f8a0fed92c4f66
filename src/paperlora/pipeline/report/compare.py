"""Find whether two runs gave the same results: their reports and adapters, without measured values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paperlora.files import read_json, sha256_file
from paperlora.pipeline.report.wording import flatten

if TYPE_CHECKING:
    from pathlib import Path

APART = (
    "run",
    "run_argument",
    "notes",  # a note tells how the adapter differs from the settings, which are compared themselves
    "train.seconds",
    "train.tokens_per_second",
    "train.peak_memory",
    "train.how.setup_seconds",
    "model.device",  # the GPU's name; other results on it would show
    "eval.device",
    "environment.observed",
    "environments.train",  # the same record as ``environment``
    "environments.eval.observed",
)
"""What may differ between two runs of one seed: names, and what is measured on the machine."""


def differences(left: Path, right: Path) -> list[str]:
    """Return one line per result in which two run directories differ; an empty list when they agree.

    Raises ``DataError`` when either has no report.
    """
    one, other = (dict(flatten(read_json(run / "report.json"))) for run in (left, right))
    lines = [
        f"{name}: {one.get(name)!r} in {left}, {other.get(name)!r} in {right}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
        and not f"{name}.".startswith(tuple(f"{apart}." for apart in APART))
    ]
    adapter = "adapter/adapter_model.safetensors"
    digests = [sha256_file(run / adapter) for run in (left, right)]
    if digests[0] != digests[1]:
        lines.append(f"{adapter}: SHA-256 {digests[0][:12]}… and {digests[1][:12]}…")
    return lines
