"""Say whether two runs gave the same results: report and adapter, measured times and memory aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paperlora.files import read_json, sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APART = (
    "run",
    "train.seconds",
    "train.tokens_per_second",
    "train.peak_memory",
    "environment.observed",
)
"""The run's name, and what is read off the machine: these differ from run to run, all else must not."""


def results(report: dict[str, Any]) -> dict[str, Any]:
    """Return ``report.json`` as dotted name → value, without what may differ."""
    return {
        name: value
        for name, value in _flat("", report)
        if not any(name == skip or name.startswith(f"{skip}.") for skip in APART)
    }


def differences(left: Path, right: Path) -> list[str]:
    """Return one line per result in which two run directories differ; none when they agree.

    Raises ``DataError`` when either has no report.
    """
    one, other = (results(read_json(run / "report.json")) for run in (left, right))
    lines = [
        f"{name}: {one.get(name)!r} in {left}, {other.get(name)!r} in {right}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]
    adapter = "adapter/adapter_model.safetensors"
    digests = [sha256_file(run / adapter) for run in (left, right)]
    if digests[0] != digests[1]:
        lines.append(f"{adapter}: SHA-256 {digests[0][:12]}… and {digests[1][:12]}…")
    return lines


def _flat(prefix: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, item)
    else:
        yield prefix, value
