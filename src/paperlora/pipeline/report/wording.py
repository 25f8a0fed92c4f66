"""Numbers and results in plain words, the same in the report, in the model card and in the plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSENT = "\u2013"
"""A dash, written where there is no number."""

GAP = "\u00a0"
"""The space between a number and its unit, where a line must not break."""

PARTS = {"train": "training", "eval": "evaluation"}
"""Key of ``environments`` in ``report.json`` → what it is called."""

STEP: dict[str, tuple[str, dict[str, str]]] = {
    "step": (
        "Step",
        {
            "stock": "transformers and peft, one example after another",
            "plain": "paperlora's own step for Gemma 3n, in plain PyTorch",
            "fused": "paperlora's own step for Gemma 3n, with fused GPU kernels",
        },
    ),
    "activations": (
        "Activations",
        {
            "keep": "each layer keeps all of them for the backward pass",
            "recompute": "each layer keeps its input and computes the rest again",
            "offload": "each layer keeps its input in host memory and computes the rest again",
        },
    ),
    "embeddings": ("Per-layer embeddings", {"host": "in host memory", "gpu": "in GPU memory"}),
}
"""Key of ``train.how`` → its label, and its values in words."""


def number(value: float | None, decimals: int | None = None) -> str:
    """Write a number with as many decimals as suit its size: ``1,234``, ``23.1``, ``0.126``."""
    if value is None:
        return ABSENT
    if decimals is None:
        size = abs(value)
        whole = isinstance(value, int) or size >= 1000
        decimals = 0 if whole else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}".replace("-", "\u2212")


def percent(value: float | None) -> str:
    """Write a share: 0.354 as ``35.4 %``."""
    return ABSENT if value is None else f"{number(100 * value, 1)}{GAP}%"


def points(value: float | None) -> str:
    """Write a difference of two shares in percentage points: 0.126 as ``12.6 points``."""
    return percent(value).replace("%", "points")


def interval(bounds: list[float | None] | None) -> str:
    """Write an interval of shares: ``21.9 to 48.9 %``."""
    low, high = bounds or (None, None)
    return ABSENT if low is None or high is None else f"{100 * low:.1f} to {percent(high)}"


def count(items: int, noun: str) -> str:
    """Write how many there are: ``1 paper``, ``12 papers``."""
    return f"{items:,}{GAP}{noun}{'' if items == 1 else 's'}"


def memory(size: float | None) -> str:
    """Write a number of bytes in MiB or GiB."""
    if size is None:
        return ABSENT
    return f"{size / 2**30:.2f}{GAP}GiB" if size >= 2**30 else f"{size / 2**20:.0f}{GAP}MiB"


def duration(seconds: float | None) -> str:
    """Write a time: ``8.4 s``, ``3 min 07 s``, ``2 h 05 min``."""
    if seconds is None:
        return ABSENT
    if seconds < 59.95:  # what rounds to 60 is a minute
        return f"{seconds:.1f}{GAP}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    parts = (hours, "h", f"{left:02d}", "min") if hours else (minutes, "min", f"{rest:02d}", "s")
    return GAP.join(map(str, parts))


def trained_share(model: dict[str, Any]) -> float:
    """Return the trained share of all parameters; ``model.parameters`` counts the frozen ones."""
    trained = int(model["trainable"])
    return trained / max(1, trained + int(model["parameters"]))


def step(train: dict[str, Any]) -> list[tuple[str, str]]:
    """Return label and text of each fact in ``train.how``: how an optimiser step was computed."""
    how = train.get("how") or {}
    rows = [
        (label, texts.get(how[key], str(how[key])))
        for key, (label, texts) in STEP.items()
        if key in how
    ]
    if (predicted := how.get("predicted_gpu_bytes")) is not None:
        peak = memory(train["peak_memory"]["gpu_allocated_bytes"])
        rows.append(("GPU memory", f"{memory(predicted)} predicted, {peak} measured at most"))
    if "setup_seconds" in how:
        rows.append(("Time to prepare the step", duration(how["setup_seconds"])))
    return rows


def unverified(environments: dict[str, dict[str, Any]]) -> list[str]:
    """Return one line for each difference from a lock; an empty list when both were verified."""
    found: dict[str, list[str]] = {}
    for key, part in PARTS.items():
        record = environments[key]
        if not record["verified"] or record["findings"]:
            for finding in record["findings"] or ["the check did not run"]:
                found.setdefault(finding, []).append(part)
    return [f"{' and '.join(parts)}: {finding}" for finding, parts in found.items()]


def environment_rows(report: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return name, value in training and value in evaluation of each fact about the environments."""
    trained, scored = (dict(flatten(report["environments"][key])) for key in PARTS)
    for record in (trained, scored):
        del record["findings"]  # ``unverified`` shows them
    if "device" in report["eval"]:
        trained["device"], scored["device"] = report["model"]["device"], report["eval"]["device"]
    return [(name, trained.get(name), scored.get(name)) for name in trained | scored]


def differing(rows: list[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    """Return the rows that differ; of the observed facts, only the GPU counts."""
    return [
        row
        for row in rows
        if row[1] != row[2] and (not row[0].startswith("observed.") or row[0] == "observed.gpu")
    ]


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Yield dotted key and value for each leaf of nested dictionaries."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
