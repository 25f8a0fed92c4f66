"""Drift: compares the runtime that a Colab target was locked for with a newer freeze."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from paperlora.environment import freeze, metadata
from paperlora.environment import lock as locks
from paperlora.environment import target as targets
from paperlora.environment.terminal import columns, paint
from paperlora.errors import FindingsError, InputError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from paperlora.environment.lock import Lock
    from paperlora.environment.target import Requirement, Target


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
    asked = {one.name: one for stage in target.stages for one in stage.requirements}
    ours = {name: one.version for name, (_, one) in lock.packages(target.python[0]).items()}
    found = [
        Move(
            package=name,
            before=older.get(name, ""),
            now=newer.get(name, ""),
            why=_why(name, newer.get(name, ""), asked.get(name), ours, lock.provided, target),
        )
        for name in sorted({*older, *newer})
        if older.get(name) != newer.get(name)
    ]
    return sorted(found, key=lambda one: (not one.why, one.package))


def _why(
    name: str,
    now: str,
    asked: Requirement | None,
    ours: Mapping[str, str],
    provided: Mapping[str, str],
    target: Target,
) -> str:
    if name in ours:
        wanted = asked.accepts or asked.version if asked else ""
        serves = now and metadata.accepts(wanted, now)
        return f"our {ours[name]} replaces it" + (", which is no longer needed" if serves else "")
    if name in provided:
        if not now:
            return "the lock relies on it, and it is gone"
        if asked and not metadata.accepts(asked.accepts or asked.version, now):
            return f"the pipeline accepts {asked.accepts or asked.version} only"
        return "the lock relies on it"
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
