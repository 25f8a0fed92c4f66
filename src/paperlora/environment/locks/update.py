"""Move the cutoff, lock everything again, and print what changed and why each package is there.

The changed files stay in the working tree; stdout has the text for the pull request.
"""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperlora.environment.core import lock as locks
from paperlora.environment.core import runtime
from paperlora.environment.core import target as targets
from paperlora.environment.core.installed import normalised
from paperlora.environment.locks import freeze as freezes
from paperlora.environment.locks import metadata, resolve
from paperlora.errors import InputError
from paperlora.files import ROOT, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CUTOFF = re.compile(r'^cutoff = "([^"]*)"', re.MULTILINE)
_NAME = re.compile(r"[\w.-]+")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, kw_only=True, order=True)
class Change:
    """A package of a target (or tool list) whose version changed; ``""`` where it is not locked."""

    target: str
    package: str
    old: str
    new: str
    stage: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One package of a lock: its version, its stage, and why it is there."""

    version: str
    stage: str
    why: str


def pins(*, root: Path = ROOT) -> dict[tuple[str, str], Pin]:
    """Return (target or tool list, package) → pin, for every lock that exists."""
    found = {}
    stages = targets.stages(root=root)
    asked = {one.name: one.why for stage in stages for one in stage.requirements}
    for name in targets.names(root=root):
        if not (root / f"lockfiles/{name}/lock.json").exists():
            continue
        lock = locks.load(name, root=root)
        users = _users(lock)
        for stage, one in lock.pins:
            why = asked.get(one.name) or f"required by {', '.join(users.get(one.name, ['?']))}"
            found[name, one.name] = Pin(version=one.version, stage=stage, why=why)
    for name in targets.toolsets(root=root):
        path = root / f"lockfiles/{name}.txt"
        if path.exists():
            for package, version in resolve.tool_pins(path.read_text(encoding="utf-8")):
                why = f"tools of `{name}`"
                found[name, package] = Pin(version=version, stage="", why=why)
    return found


def _users(lock: locks.Lock) -> dict[str, list[str]]:
    """Return name → the locked packages that require it, on any Python or for any extra."""
    found: dict[str, list[str]] = {}
    for _, one in lock.pins:
        for text in one.requires:
            found.setdefault(normalised(metadata.requirement(text).name), []).append(one.name)
    return {name: sorted(set(users))[:4] for name, users in found.items()}


def changes(old: Mapping[tuple[str, str], Pin], new: Mapping[tuple[str, str], Pin]) -> list[Change]:
    """Return the differences between two states of the locks."""
    found = []
    for target, package in old.keys() | new.keys():
        before, after = old.get((target, package)), new.get((target, package))
        was, now = (one.version if one else "" for one in (before, after))
        known = after or before
        if was != now and known:
            why = known.why + (f" ({step})" if (step := _step(was, now)) else "")
            found.append(
                Change(target=target, package=package, old=was, new=now, stage=known.stage, why=why)
            )
    return sorted(found)


def _step(old: str, new: str) -> str:
    """Return how far a version moved, by the first number that differs."""
    if not old or not new:
        return ""
    pairs = zip(old.split("."), new.split("."), strict=False)
    place = next((index for index, (one, other) in enumerate(pairs) if one != other), 2)
    return ("major: read its release notes", "minor", "patch")[min(place, 2)]


def table(found: list[Change]) -> str:
    """Return the changes as a Markdown table."""
    if not found:
        return "No pin changed.\n"
    rows = [("target", "package", "from", "to", "stage", "why it is there"), ("---",) * 6]
    rows += [(c.target, c.package, c.old or "–", c.new or "–", c.stage, c.why) for c in found]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def run(*, cutoff: str = "", name: str = "", freeze: str = "", root: Path = ROOT) -> None:
    """Move the cutoff (by default to today), lock everything again and print what changed.

    With ``name`` and ``freeze`` (a commit of Colab's backend-info, or ``FILE@COMMIT``) the facts of
    that runtime are written first. When nothing satisfies the new inputs, the old ones are restored.
    """
    cutoff = cutoff or time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())
    if not _INSTANT.fullmatch(cutoff):
        raise InputError(f"{cutoff!r} is not a time", remedy="write it like 2026-11-20T00:00:00Z")
    if bool(name) != bool(freeze):
        raise InputError(
            "a runtime needs a name and a freeze", remedy="pass --runtime and --freeze"
        )
    if name and not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is not the name of a runtime", remedy="write it like 2026.10")
    path = root / "env/targets.toml"
    facts = root / f"env/colab/{name}.toml" if name else None
    before = {one: one.read_text("utf-8") for one in (path, facts) if one and one.exists()}
    moved = _CUTOFF.search(before[path])
    if moved is None:
        raise InputError(f"{path} has no cutoff", remedy="restore it from the repository")
    old = pins(root=root)
    try:
        if facts:
            write_text(facts, _facts(name, freeze, root=root))
        write_text(path, _CUTOFF.sub(f'cutoff = "{cutoff}"', before[path], count=1))
        resolve.run(root=root)
    except BaseException:
        for one, text in before.items():
            write_text(one, text)
        if facts and facts not in before:
            facts.unlink(missing_ok=True)
        raise
    print(f"Cutoff moved from {moved[1]} to {cutoff}.\n")
    print(table(changes(old, pins(root=root))), end="")
    print(
        "review it, run `env/nox -s check order tests`, and commit env/ and lockfiles/",
        file=sys.stderr,
    )


def _facts(name: str, source: str, *, root: Path) -> str:
    file, _, commit = source.rpartition("@")
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise InputError(
            f"{source!r} has no commit", remedy="pass 40 hex digits, or FILE@COMMIT when offline"
        )
    known = runtime.names(root=root)
    python = runtime.load(name if name in known else known[-1], root=root).python
    packages = freezes.read(file or commit)
    return runtime.facts(
        runtime.Runtime(name=name, commit=commit, python=python, packages=packages)
    )
