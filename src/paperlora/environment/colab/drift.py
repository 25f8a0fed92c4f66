"""Drift: compares the runtime that a Colab target was locked for with a newer freeze."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from paperlora.environment.colab import planner
from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.core.terminal import columns, paint
from paperlora.environment.locks import freeze
from paperlora.errors import FindingsError, InputError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from paperlora.environment.core.lock import Lock
    from paperlora.environment.core.target import Target


@dataclass(frozen=True, kw_only=True)
class Move:
    """A package that is not what it was; ``""``: not there. ``why`` says why it matters, if it does."""

    package: str
    before: str
    now: str
    why: str


def moves(target: Target, lock: Lock, newer: Mapping[str, str]) -> list[Move]:
    """Return every package of the runtime that moved, came or went, those that matter first."""
    older = target.runtime.packages
    found = [
        Move(
            package=name,
            before=older.get(name, ""),
            now=newer.get(name, ""),
            why=_why(lock, target, name, newer.get(name, "")),
        )
        for name in sorted({*older, *newer})
        if older.get(name) != newer.get(name)
    ]
    return sorted(found, key=lambda one: (not one.why, one.package))


def _why(lock: Lock, target: Target, name: str, now: str) -> str:
    ours = lock.packages(target.python[0])
    asked = {one.name: one for stage in target.stages for one in stage.requirements}.get(name)
    serves = now != "" and (asked is None or planner.accepted(asked, now))
    if name in ours:
        needless = ", which is no longer needed" if serves else ""
        return f"our {ours[name][1].version} replaces it{needless}"
    if name in lock.provided:
        if not now:
            return "the lock relies on it, and it is gone"
        accepted = asked.accepts or asked.version if asked else ""
        return "the lock relies on it" if serves else f"the pipeline accepts {accepted} only"
    return "protected" if target.protects(name) else ""


def run(target_name: str, source: str, *, as_json: bool = False, root: Path = ROOT) -> None:
    """Print what moved between the locked runtime and the freeze ``source`` (a file or a commit).

    Raises ``FindingsError`` when something moved that the lock is about.
    """
    target = targets.load(target_name, root=root)
    if not target.colab:
        raise InputError(f"{target_name} is no Colab target", remedy="name one with --target")
    found = moves(target, locks.load(target_name, root=root), freeze.read(source))
    told = [one for one in found if one.why]
    if as_json:
        print(
            json.dumps({"target": target_name, "moves": [asdict(one) for one in found]}, indent=1)
        )
    else:
        rows = [(one.package, one.before or "—", one.now or "—", one.why) for one in told]
        if rows:
            print("\n".join(columns(rows, ["yellow"] * len(rows))))
        rest = f"{len(found) - len(told)} other packages moved, came or went (--json lists them)"
        print(paint(rest, "grey"))
    if told:
        raise FindingsError(
            f"{len(told)} packages moved that the lock of {target_name} is about",
            remedy="nox -s update, with this freeze",
        )
