"""Doctor: goes on to what a lock cannot know, such as the driver, the GPU, memory and disk.

A *finding* will stop or spoil a run; a *note* is worth knowing. Both say what to do. No GPU is no
fault: the demo runs without one.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from paperlora.environment.core import target as targets
from paperlora.environment.core import verify
from paperlora.environment.core.terminal import columns, human
from paperlora.environment.host import accelerator, diagnosis, machine
from paperlora.environment.host.diagnosis import FINDING, GOOD, NOTE, Line
from paperlora.errors import EnvironmentNotVerifiedError, FindingsError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from paperlora.environment.host.accelerator import Answer
    from paperlora.environment.host.diagnosis import Fit

_COLOURS = {GOOD: "green", NOTE: "yellow", FINDING: "red"}


def environment(target: str, *, root: Path = ROOT) -> Iterator[Line]:
    """Yield whether this interpreter is as locked, and whether the system suits the lock."""
    yield machine.c_library(targets.load(target, root=root).platform)
    try:
        found = verify.findings(target, root=root)
    except EnvironmentNotVerifiedError as error:
        yield Line(subject="lock", state=FINDING, seen=error.args[0], remedy=error.remedy)
        return
    if not found:
        yield Line(subject="environment", state=GOOD, seen=f"as locked for {target}")
    for one in found:
        yield Line(subject=one.subject, state=FINDING, seen=one.problem, remedy=one.remedy)


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
        *([machine.compiler()] if said.devices else []),
        *machine.room(places),
        machine.shared_memory(),
        machine.token(),
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
    # People publish this in bug reports, and a path in a home often has the user's name.
    home = re.compile(rf"{re.escape(str(Path.home()))}(?![\w.-])")
    shown = [{key: home.sub("~", text) for key, text in asdict(line).items()} for line in lines]
    document = {"target": target, "lines": shown, "fits": fits}
    print(json.dumps(document, indent=1))
