"""Run the ``drift`` command: list what changed between a locked runtime and a newer freeze."""

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
class Change:
    """A package whose version changed (``""``: not installed); ``why`` it matters, or ``""``."""

    package: str
    before: str
    now: str
    why: str


def changes(target: Target, lock: Lock, newer: Mapping[str, str]) -> list[Change]:
    """Return every package of the runtime that changed, those that matter first."""
    older = target.runtime.packages
    found = [
        Change(
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
    """Return why a change of package ``name`` to version ``now`` matters, or ``""``."""
    ours = lock.packages(target.python[0])
    asked = {one.name: one for stage in target.stages for one in stage.requirements}.get(name)
    accepted = now != "" and (asked is None or planner.accepted(asked, now))
    if name in ours:
        needless = ", which is no longer needed" if accepted else ""
        return f"our {ours[name][1].version} replaces it{needless}"
    if name in lock.provided:
        if not now:
            return "the lock needs it, and it is gone"
        wanted = asked.accepts or asked.version if asked else ""
        return "the lock uses it" if accepted else f"the pipeline accepts {wanted} only"
    return "protected" if target.protects(name) else ""


def run(target_name: str, source: str, *, as_json: bool = False, root: Path = ROOT) -> None:
    """Print what changed in freeze ``source`` (file, commit); ``FindingsError`` if it matters to the lock."""
    target = targets.load(target_name, root=root)
    if not target.colab:
        raise InputError(f"{target_name} is not a Colab target", remedy="name one with --target")
    found = changes(target, locks.load(target_name, root=root), freeze.read(source))
    important = [one for one in found if one.why]
    if as_json:
        document = {"target": target_name, "moves": [asdict(one) for one in found]}
        print(json.dumps(document, indent=1))
    else:
        rows = [(one.package, one.before or "—", one.now or "—", one.why) for one in important]
        if rows:
            print("\n".join(columns(rows, ["yellow"] * len(rows))))
        print(paint(f"{len(found) - len(important)} other packages changed (see --json)", "grey"))
    if important:
        raise FindingsError(
            f"{len(important)} packages changed that matter to the lock of {target_name}",
            remedy="run `env/nox -s update` with this freeze",
        )
