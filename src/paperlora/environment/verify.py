"""Verify: compares the interpreter that runs this with a target's lock, well within a second.

Names, versions, Python and platform; and that the lock is still the one that ``env/`` asks for.
"""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

from paperlora.environment import identity, installed
from paperlora.environment import lock as locks
from paperlora.environment import target as targets
from paperlora.errors import EnvironmentNotVerifiedError
from paperlora.files import ROOT, sha256_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from paperlora.environment.installed import Distribution
    from paperlora.environment.lock import Lock

INSTALL = "env/install.sh --target {target}"


def stale(target: str, *, root: Path = ROOT) -> list[str]:
    """Return how the lock of ``target`` differs from its inputs and from its own slices."""
    lock = locks.load(target, root=root)
    folder = root / "lockfiles" / target
    found = []
    if lock.input_digest != targets.load(target, root=root).input_digest:
        found.append(f"the lock of {target} is stale: env/*.toml changed after it → nox -s lock")
    for part in lock.slices:
        path = folder / part.file
        if not path.exists() or sha256_file(path) != part.sha256:
            state = "was changed by hand" if path.exists() else "is missing"
            found.append(f"lockfiles/{target}/{part.file} {state} → restore it or run nox -s lock")
    return found


def differences(
    lock: Lock,
    distributions: Sequence[Distribution],
    *,
    python: str,
    machine: str,
    through: str | None = None,
) -> list[str]:
    """Return a line for each way in which ``distributions`` are not what ``lock`` says.

    ``python`` is ``3.12``, ``machine`` is ``linux-x86_64``; ``through`` names the last stage
    that has to be there (later ones may be).
    """
    remedy = f" → {INSTALL.format(target=lock.target)}"
    system = "linux-" + lock.platform.split("-")[0]
    if machine != system:
        return [f"platform: locked for {system}, found {machine} → use a machine of that kind"]
    if python not in lock.python:
        wanted = " or ".join(reversed(lock.python))
        return [f"python: locked for {wanted}, found {python}{remedy} --python PATH"]
    expected = lock.packages(python, through=through)
    held: dict[str, list[str]] = {}
    for distribution in distributions:
        held.setdefault(distribution.name, []).append(distribution.version)
    found = []
    for name, (stage, package) in sorted(expected.items()):
        versions = held.get(name, [])
        if versions != [package.version]:
            seen = " and ".join(version or "no metadata" for version in versions) or "nothing"
            found.append(f"{name}: locked {package.version} (stage {stage}), found {seen}{remedy}")
    unlocked = sorted(held.keys() - lock.packages(python).keys())
    found += [f"{name}: not in the lock, found {held[name][0]}{remedy}" for name in unlocked]
    return found


def surplus(target: str, *, root: Path = ROOT) -> list[str]:
    """Return the names of installed packages that no stage of the lock has."""
    locked = locks.load(target, root=root).packages(_python())
    if targets.load(target, root=root).colab:
        return []  # the rest of a Colab runtime is its own
    return sorted({one.name for one in installed.distributions()} - locked.keys())


def findings(target: str, *, through: str | None = None, root: Path = ROOT) -> list[str]:
    """Return every difference between this interpreter and ``target``; empty when it is verified.

    Raises ``InputError`` for an unknown target and ``EnvironmentNotVerifiedError`` when the lock
    cannot be read.
    """
    colab = targets.load(target, root=root).colab
    lock = locks.load(target, root=root)
    locked = lock.packages(_python())
    # The rest of a Colab runtime is its own.
    held = [one for one in installed.distributions() if not colab or one.name in locked]
    machine = identity.machine()
    return stale(target, root=root) + differences(
        lock, held, python=_python(), machine=machine, through=through
    )


def require(target: str, *, root: Path = ROOT) -> None:
    """Raise ``EnvironmentNotVerifiedError``, naming each package, unless ``target`` is verified."""
    found = findings(target, root=root)
    if found:
        what = "; ".join(line.partition(" → ")[0] for line in found)
        remedies = dict.fromkeys(line.partition(" → ")[2] for line in found)
        raise EnvironmentNotVerifiedError(
            f"{sys.prefix} is not the environment locked for {target}: {what}",
            remedy=", ".join(remedies),
        )


def run(target: str = "cuda", *, root: Path = ROOT) -> int:
    """Print that this interpreter is verified and return 0.

    Raises ``EnvironmentNotVerifiedError`` naming each package that differs.
    """
    require(target, root=root)
    who = identity.of(target, root=root)
    count = len(who["packages"])
    print(f"verified: {target}, {count} packages, fingerprint {identity.fingerprint(who)[:12]}")
    return 0


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])
