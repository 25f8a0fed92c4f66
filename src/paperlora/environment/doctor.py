"""Doctor: goes on to what a lock cannot know, such as the driver, the GPU, memory and disk.

A *finding* will stop or spoil a run; a *note* is worth knowing. Both say what to do. No GPU is no
fault: the demo runs without one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from paperlora.environment import accelerator, diagnosis, verify
from paperlora.environment.diagnosis import FINDING, GOOD, NOTE, Line
from paperlora.environment.terminal import columns, human
from paperlora.errors import EnvironmentNotVerifiedError, FindingsError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from paperlora.environment.accelerator import Answer
    from paperlora.environment.diagnosis import Fit

_COLOURS = {GOOD: "green", NOTE: "yellow", FINDING: "red"}

_LITTLE_DISK = 2_000_000_000
"""Bytes under which checkpoints, an adapter and a report may not fit beside each other."""


def environment(target: str, *, root: Path = ROOT) -> Iterator[Line]:
    """Yield whether this interpreter is as locked."""
    try:
        found = verify.findings(target, root=root)
    except EnvironmentNotVerifiedError as error:
        yield Line(subject="lock", state=FINDING, seen=error.args[0], remedy=error.remedy)
        return
    if not found:
        yield Line(subject="environment", state=GOOD, seen=f"as locked for {target}")
    for one in found:
        yield Line(subject=one.subject, state=FINDING, seen=one.problem, remedy=one.remedy)


def host(places: Iterable[Path], token: str) -> Iterator[Line]:
    """Yield free memory, free disk at ``places``, and where a hub token was found."""
    if (free := _free_memory()) is not None:
        yield Line(subject="memory", state=GOOD, seen=f"{human(free)} available")
    seen: set[int] = set()
    for place in places:
        there = next(parent for parent in (place, *place.parents) if parent.exists())
        if (device := there.stat().st_dev) in seen:
            continue
        seen.add(device)
        left = shutil.disk_usage(there).free
        short = left < _LITTLE_DISK
        remedy = "make room, or point PAPERLORA_RUNS at another disk" if short else ""
        state = FINDING if short else GOOD
        yield Line(
            subject="disk", state=state, seen=f"{human(left)} free at {there}", remedy=remedy
        )
    remedy = "" if token else "only gated models (Gemma) need one: set HF_TOKEN"
    state = GOOD if token else NOTE
    yield Line(subject="hub token", state=state, seen=token or "none", remedy=remedy)


def token_source(home: Path | None = None) -> str:
    """Return where the hub's own library would find a token, never the token."""
    if os.environ.get("HF_TOKEN", "").strip():
        return "in HF_TOKEN"
    base = Path(os.environ.get("HF_HOME") or (home or Path.home()) / ".cache/huggingface")
    path = Path(os.environ.get("HF_TOKEN_PATH") or base / "token")
    return f"in {path}" if path.is_file() and path.read_bytes().strip() else ""


def run(
    target: str = "cuda",
    *,
    fits: Sequence[Fit] = (),
    as_json: bool = False,
    root: Path = ROOT,
    ask: Callable[[], Answer] = accelerator.ask,
) -> None:
    """Print what was looked at and what fits.

    Raises ``EnvironmentNotVerifiedError`` when the environment differs from its lock, and
    ``FindingsError`` for any other finding.
    """
    own = list(environment(target, root=root))
    said = ask()
    places = [root, Path(os.environ.get("PAPERLORA_RUNS") or root / "runs"), Path.home()]
    other = [
        *diagnosis.driver(said, present=Path("/dev/nvidiactl").exists()),
        *diagnosis.libraries(said),
        *diagnosis.gpus(said),
        *host(places, token_source()),
    ]
    table = diagnosis.fitting(fits, said.devices)
    if as_json:
        _print_json(target, [*own, *other], table)
    else:
        _print([*own, *other], table)
    bad = [line for line in (*own, *other) if line.state == FINDING]
    if not bad:
        return
    kind = EnvironmentNotVerifiedError if bad[0] in own else FindingsError
    subjects = ", ".join(dict.fromkeys(line.subject for line in bad))
    raise kind(
        f"{len(bad)} finding{'s' * (len(bad) > 1)}: {subjects}",
        remedy="; ".join(dict.fromkeys(line.remedy for line in bad)),
    )


def _print(lines: Sequence[Line], table: Sequence[tuple[Fit, str]]) -> None:
    rows = [
        (line.subject, line.state, line.seen + (f" → {line.remedy}" if line.remedy else ""))
        for line in lines
    ]
    print("\n".join(columns(rows, [_COLOURS[line.state] for line in lines])))
    if table:
        print("\nGPU memory that training needs")
        models = [
            (fit.model, f"{fit.max_length} tokens", human(fit.gpu_bytes), verdict, fit.note)
            for fit, verdict in table
        ]
        colours = ["green" if verdict == "fits" else "grey" for _, verdict in table]
        print("\n".join(columns(models, colours)))


def _print_json(target: str, lines: Sequence[Line], table: Sequence[tuple[Fit, str]]) -> None:
    fits = [
        {
            "model": fit.model,
            "max_length": fit.max_length,
            "gpu_bytes": fit.gpu_bytes,
            "note": fit.note,
            "verdict": verdict,
        }
        for fit, verdict in table
    ]
    document = {"target": target, "lines": [asdict(line) for line in lines], "fits": fits}
    print(json.dumps(document, indent=1))


def _free_memory() -> int | None:
    """Return the bytes that a new program may use: the least of the kernel's and the cgroup's."""
    try:
        said = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s*(\d+) kB", said)
    free = [int(found[1]) * 1024] if found else []
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text(encoding="utf-8").strip()
        used = (group / "memory.current").read_text(encoding="utf-8").strip()
        free += [int(most) - int(used)] if most != "max" else []
    except (OSError, ValueError):
        pass
    return min(free, default=None)
