"""Compare the interpreter that runs this with the lock of a target, within a second.

Names, versions, Python and platform must be those of the lock, and the lock must match ``env/`` and
its slices. On request every installed file is compared too. The fingerprint of an environment is a
digest of its content: target, Python, platform, packages and locked files. It is the same on two
machines with the same environment; GPU, driver, host and time do not count.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paperlora.environment.core import installed, intact
from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.errors import EnvironmentNotVerifiedError, Finding
from paperlora.files import ROOT, sha256_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from paperlora.environment.core.installed import Distribution
    from paperlora.environment.core.lock import Lock

_MOST_SHOWN = 20


def own_target() -> str:
    """Return ``PAPERLORA_TARGET``, or else the target that ``env/install.sh`` installed, or else ``cuda``."""
    stamp = Path(sys.prefix) / ".stages/target"
    installed_target = stamp.read_text(encoding="utf-8").strip() if stamp.is_file() else ""
    return os.environ.get("PAPERLORA_TARGET") or installed_target or "cuda"


def stale(target: str, *, root: Path = ROOT) -> list[Finding]:
    """Return how the lock of ``target`` differs from its inputs, and its slices from the lock."""
    lock = locks.load(target, root=root)
    found = locks.changed_slices(lock, root=root)
    if lock.input_digest != targets.load(target, root=root).input_digest:
        problem = "stale: env/*.toml changed after it"
        found.insert(0, Finding(f"lock of {target}", problem, "env/nox -s lock"))
    return found


def differences(
    lock: Lock,
    distributions: Sequence[Distribution],
    *,
    python: str,
    machine: str,
    through: str | None = None,
) -> list[Finding]:
    """Return each difference between the installed ``distributions`` and ``lock``.

    ``python`` is as in ``3.12``, ``machine`` as in ``linux-x86_64``. Stages after ``through`` may be
    installed but need not be.
    """
    remedy = f"env/install.sh --target {lock.target}"
    system = "linux-" + lock.platform.split("-")[0]
    if machine != system:
        problem = f"locked for {system}, found {machine}"
        return [Finding("platform", problem, "use such a machine")]
    if python not in lock.python:
        problem = f"locked for {' or '.join(reversed(lock.python))}, found {python}"
        return [Finding("python", problem, f"{remedy} --python PATH")]
    expected = lock.packages(python, through=through)
    held: dict[str, list[str]] = {}
    for distribution in distributions:
        held.setdefault(distribution.name, []).append(distribution.version)
    found = []
    for name, (stage, package) in sorted(expected.items()):
        versions = held.get(name, [])
        if versions != [package.version]:
            seen = " and ".join(version or "no metadata" for version in versions) or "nothing"
            problem = f"locked {package.version} (stage {stage}), found {seen}"
            found.append(Finding(name, problem, remedy))
    extra = sorted(held.keys() - lock.packages(python).keys() - lock.provided.keys())
    found += [Finding(name, f"not in the lock, found {held[name][0]}", remedy) for name in extra]
    return [*found, *_moved(lock, held)]


def _moved(lock: Lock, held: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield the packages that a Colab runtime lacks or has changed; ``+cu128`` does not count."""
    remedy = f"pick Colab's runtime {lock.runtime} (Runtime, Change runtime type)"
    for name, version in sorted(lock.provided.items()):
        seen = held.get(name, [])
        if [one.split("+")[0] for one in seen] != [version.split("+")[0]]:
            problem = f"the runtime should have {version}, found {' and '.join(seen) or 'nothing'}"
            yield Finding(name, problem, remedy)


def findings(target: str, *, through: str | None = None, root: Path = ROOT) -> list[Finding]:
    """Return every difference between this interpreter and ``target``; none when it is verified.

    Raises ``InputError`` for an unknown target, ``EnvironmentNotVerifiedError`` for an unreadable lock.
    """
    colab = targets.load(target, root=root).colab
    lock = locks.load(target, root=root)
    ours = {*lock.packages(python()), *lock.provided}
    # The other packages of a Colab runtime may be anything.
    held = [one for one in installed.distributions() if not colab or one.name in ours]
    return stale(target, root=root) + differences(
        lock, held, python=python(), machine=machine(), through=through
    )


def require(target: str, *, root: Path = ROOT) -> None:
    """Raise ``EnvironmentNotVerifiedError`` with each difference, unless ``target`` is verified."""
    _refuse(target, findings(target, root=root))


def run(
    target: str = "cuda", *, files: bool = False, as_json: bool = False, root: Path = ROOT
) -> None:
    """Print one line when this interpreter is verified, with ``files`` every installed file too.

    Raises ``EnvironmentNotVerifiedError`` with each package or file that differs. ``as_json`` prints
    the findings as JSON first.
    """
    found = findings(target, root=root)
    if files:
        ours = locks.load(target, root=root).packages(python()).keys()
        colab = targets.load(target, root=root).colab
        found += intact.findings(only=ours if colab else None, root=root)
    who = identity(target, root=root)
    fingerprint = sha256_json(who)
    if as_json:
        about = {"target": target, "files": files, "verified": not found}
        rows = [asdict(one) for one in found]
        print(json.dumps({**about, "fingerprint": fingerprint, "findings": rows}, indent=1))
    _refuse(target, found)
    if not as_json:
        what = f"{len(who['packages'])} packages{' and all their files' if files else ''}"
        print(f"verified: {target}, {what}, fingerprint {fingerprint[:12]}")


def _refuse(target: str, found: Sequence[Finding]) -> None:
    if found:
        what = "; ".join(f"{one.subject}: {one.problem}" for one in found[:_MOST_SHOWN])
        if len(found) > _MOST_SHOWN:
            what += f"; and {len(found) - _MOST_SHOWN} more (verify --json lists all)"
        raise EnvironmentNotVerifiedError(
            f"{sys.prefix} is not the environment locked for {target}: {what}",
            remedy=", ".join(dict.fromkeys(one.remedy for one in found)),
        )


def identity(target: str, *, root: Path = ROOT) -> dict[str, Any]:
    """Return the content that the fingerprint covers; a package outside the lock has the hash ``""``."""
    pins = locks.load(target, root=root).packages(python())
    packages = {}
    for one in installed.distributions():
        _, pin = pins.get(one.name, ("", None))
        digest = ""
        if pin and pin.version == one.version:
            digest = sha256_json([wheel.sha256 for wheel in pin.wheels])
        packages[one.name] = [one.version, digest]
    full = platform.python_version()
    return {"target": target, "python": full, "platform": machine(), "packages": packages}


def machine() -> str:
    """Return the platform in the form that locks use, such as ``linux-x86_64``."""
    return f"{platform.system().lower()}-{platform.machine().lower()}"


def python() -> str:
    """Return the version of this interpreter in the form that locks use: ``3.12``."""
    return ".".join(platform.python_version_tuple()[:2])
