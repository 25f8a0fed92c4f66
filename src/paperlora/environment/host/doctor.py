"""Run the ``doctor`` command: examine what a lock cannot cover (driver, GPU, memory, disk).

A *finding* will stop or spoil a run; a *note* is useful to know. Both come with what to do. A
missing GPU is not an error: the demo runs without one.
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
    from collections.abc import Iterator, Sequence

    from paperlora.environment.host.diagnosis import Fit

_COLOURS = {GOOD: "green", NOTE: "yellow", FINDING: "red"}


def environment(target: str, *, root: Path = ROOT) -> Iterator[Line]:
    """Yield whether the system suits the lock, and whether this interpreter matches it."""
    yield machine.c_library(targets.load(target, root=root).platform)
    try:
        found = verify.findings(target, root=root)
    except EnvironmentNotVerifiedError as error:
        yield Line("lock", FINDING, error.args[0], error.remedy)
        return
    if not found:
        yield Line("environment", GOOD, f"as locked for {target}")
    for one in found:
        yield Line(one.subject, FINDING, one.problem, one.remedy)


def run(
    target: str = "cuda",
    *,
    fits: Sequence[Fit] = (),
    as_json: bool = False,
    root: Path = ROOT,
) -> None:
    """Print the state of the environment and the machine, and which models fit.

    Raises ``EnvironmentNotVerifiedError`` when the environment differs from its lock, and
    ``FindingsError`` for any other finding.
    """
    own = list(environment(target, root=root))
    facts = accelerator.collect()
    # The checkout, the runs, and the home, where the caches of models and packages are.
    places = [root, Path(os.environ.get("PAPERLORA_RUNS") or root / "runs"), Path.home()]
    lines = [
        *own,
        *diagnosis.driver(facts, present=Path("/dev/nvidiactl").exists()),
        *diagnosis.libraries(facts),
        *diagnosis.gpus(facts),
        *([machine.compiler()] if facts.devices else []),  # kernels are compiled for GPUs only
        *machine.room(places),
        machine.shared_memory(),
        machine.token(),
    ]
    table = list(diagnosis.fitting(fits, facts.devices))
    if as_json:
        _print_json(target, lines, table)
    else:
        _print(lines, table)
    bad = [line for line in lines if line.state == FINDING]
    if bad:
        # The environment's own lines come first.
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
    # People publish this in bug reports, and a path in a home often has the user's name.
    home = re.compile(rf"{re.escape(str(Path.home()))}(?![\w.-])")
    shown = [{key: home.sub("~", text) for key, text in asdict(line).items()} for line in lines]
    fits = [{**asdict(fit), "verdict": verdict} for fit, verdict in table]
    print(json.dumps({"target": target, "lines": shown, "fits": fits}, indent=1))
