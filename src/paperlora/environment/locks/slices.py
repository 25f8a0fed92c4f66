"""Slices as they lie on disk, compared with the lock that names them, pin by pin."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperlora.environment.core.finding import Finding
from paperlora.environment.core.lock import GENERATED
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paperlora.environment.core.lock import Lock, Slice

RESTORE = "restore it with git, or run nox -s lock"
_PIN = re.compile(r"([\w.-]+)==([^\s;\\]+)([^\\]*)")


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One requirement of a slice with the digests that its file may have."""

    name: str
    version: str
    hashes: frozenset[str]


def parse(text: str) -> list[Pin]:
    """Return the pins of hashed requirements; a line that is no pin has the version ``""``."""
    entries = re.sub(r"\\\s*\n", " ", text).splitlines()
    found = []
    for line in filter(None, (entry.partition("#")[0].strip() for entry in entries)):
        head, *hashes = line.split("--hash=sha256:")
        pin = _PIN.match(head)
        found.append(
            Pin(
                name=pin[1] if pin else head.strip(),
                version=pin[2] if pin else "",
                hashes=frozenset(digest.strip() for digest in hashes),
            )
        )
    return found


def unhashed(path: str, pins: list[Pin]) -> Iterator[Finding]:
    """Yield the pins that any file would satisfy."""
    for pin in pins:
        if not pin.version:
            problem = f"{pin.name!r} is no pinned package"
            yield Finding(subject=path, problem=problem, remedy=RESTORE)
        elif not pin.hashes or any(not re.fullmatch(r"[0-9a-f]{64}", one) for one in pin.hashes):
            problem = f"{pin.name}=={pin.version} has no hash"
            yield Finding(subject=path, problem=problem, remedy=RESTORE)


def findings(lock: Lock, *, root: Path = ROOT) -> list[Finding]:
    """Return how the slices of ``lock`` on disk differ from it."""
    folder = root / "lockfiles" / lock.target
    found = []
    for part in lock.slices:
        where = f"lockfiles/{lock.target}/{part.file}"
        try:
            text = (folder / part.file).read_text(encoding="utf-8")
        except OSError:
            found.append(Finding(subject=where, problem="is missing", remedy=RESTORE))
            continue
        if GENERATED not in text.partition("\n")[0]:
            problem = "does not say on line one that it is generated"
            found.append(Finding(subject=where, problem=problem, remedy=RESTORE))
        found += _compared(where, part, parse(text))
    named = {part.file for part in lock.slices} | {"lock.json"}
    for path in sorted(folder.iterdir()):
        if path.name not in named:
            where, problem = f"lockfiles/{lock.target}/{path.name}", "belongs to no stage"
            found.append(Finding(subject=where, problem=problem, remedy="remove it"))
    return found


def _compared(where: str, part: Slice, pins: list[Pin]) -> Iterator[Finding]:
    yield from unhashed(where, pins)
    locked = {(one.name, one.version): one for one in part.packages}
    versions = {one.name: one.version for one in part.packages}
    for (name, version), count in Counter((pin.name, pin.version) for pin in pins).items():
        if count > 1:
            problem = f"pins {name}=={version} {count} times"
            yield Finding(subject=where, problem=problem, remedy=RESTORE)
    for pin in pins:
        package = locked.pop((pin.name, pin.version), None)
        if package and pin.hashes and pin.hashes != {wheel.sha256 for wheel in package.wheels}:
            problem = f"{pin.name}: hashes differ from those in lock.json"
            yield Finding(subject=where, problem=problem, remedy=RESTORE)
        elif not package and pin.version and (pin.name, pin.version) not in versions.items():
            said = versions.get(pin.name, "nothing")
            problem = f"{pin.name}: pins {pin.version}, lock.json has {said}"
            yield Finding(subject=where, problem=problem, remedy=RESTORE)
    for name, version in sorted(locked):
        if all(pin.name != name for pin in pins):
            problem = f"{name}=={version} is left out"
            yield Finding(subject=where, problem=problem, remedy=RESTORE)
