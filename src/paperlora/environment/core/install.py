"""The steps of ``env/install.sh`` that need the interpreter of the new environment.

``python -m paperlora.environment.core.install STEP …``, with the standard library only, since the
first steps run before anything is installed.
"""

from __future__ import annotations

import fnmatch
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from paperlora.environment.core import installed, intact, verify
from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.core.terminal import human
from paperlora.errors import (
    INTERRUPTED,
    EnvironmentNotVerifiedError,
    FindingsError,
    InputError,
    PaperloraError,
)
from paperlora.files import ROOT, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from paperlora.environment.core.lock import Lock

REPAIRABLE, LOCK_IS_WRONG = 1, 3


def sizes(lock: Lock, held: dict[str, str], through: str | None = None) -> tuple[int, int]:
    """Return bytes to download and bytes on disk for the packages missing from ``held``.

    ``held`` is name → version. Both sizes are estimates: each package counts with its largest
    permitted wheel, and takes a share of the measured disk space in proportion to its download.
    """
    wanted = lock.stages[: lock.stages.index(through) + 1] if through else lock.stages
    total = download = 0
    for stage, package in lock.pins:
        size = max(wheel.size for wheel in package.wheels)
        total += size
        if stage in wanted and held.get(package.name) != package.version:
            download += size
    return download, lock.installed_bytes * download // total


def plan(target: str, through: str, space: str, cache: str) -> None:
    """Print the sizes; ``InputError`` when a disk has too little space, unless ``space`` is ``trust``."""
    held = {one.name: one.version for one in installed.distributions()}
    download, disk = sizes(locks.load(target), held, through or None)
    if download == 0:
        return
    _say(
        f"installing {target} into {sys.prefix}: {human(download)} to download (less if uv's "
        f"cache has some of it), {human(disk)} on disk"
    )
    for folder in (Path(sys.prefix), Path(cache)):
        place = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(place).free
        if space != "trust" and free < disk:
            raise InputError(
                f"{place} has {human(free)} free, and {human(disk)} are needed",
                remedy="free some space, choose another disk with --prefix and UV_CACHE_DIR, or pass "
                "--no-space-check if uv's cache already has the packages",
            )


def runtime(target: str) -> None:
    """Raise ``EnvironmentNotVerifiedError`` unless this is the Colab runtime that ``target`` is for."""
    held = {one.name: one.version.partition("+")[0] for one in installed.distributions()}
    wanted = targets.load(target).runtime
    moved = _moved(locks.load(target).provided, held)
    if not moved:
        return
    for name in targets.names():
        other = targets.load(name)
        if other.colab and name != target and not _moved(locks.load(name).provided, held):
            raise EnvironmentNotVerifiedError(
                f"this is Colab's runtime {other.runtime.name}, and {target} is locked for "
                f"{wanted.name}",
                remedy=f"use --target {name}, or pick {wanted.name} (Runtime, Change runtime type, "
                "Runtime version)",
            )
    shown = [f"{n} {version} (found {held.get(n, 'none')})" for n, version in moved.items()]
    raise EnvironmentNotVerifiedError(
        f"this is not Colab's runtime {wanted.name}: packages that differ from it: {len(moved)}, "
        f"such as {', '.join(shown[:3])}",
        remedy=f"pick {wanted.name} (Runtime, Change runtime type, Runtime version); on your own "
        "machine use --target cuda",
    )


def _moved(provided: dict[str, str], held: dict[str, str]) -> dict[str, str]:
    return {n: v for n, v in provided.items() if held.get(n) != v.partition("+")[0]}


def heal(target: str) -> int:
    """Delete the metadata of damaged packages, so that the next install restores them.

    Returns 1 when there were any, else 0. An installer that was killed leaves files out, and later
    takes the package for installed. In a Colab runtime only the packages of the target count: the
    others could not be restored.
    """
    found = 0
    ours = {one.name for _, one in locks.load(target).pins}
    colab = targets.load(target).colab
    slimmed, _ = intact.removed(Path(sys.prefix))
    for one in installed.distributions():
        if colab and one.name not in ours:
            continue
        lost = [name for name in installed.missing_files(one) if name not in slimmed]
        if lost:
            _say(f"{one.name} {one.version} lacks {lost[0]}: installing it again")
        elif not one.folder.name.endswith(f"-{one.version}.dist-info"):
            _say(f"{one.folder.name} has metadata of version {one.version}: installing it again")
        else:
            continue
        shutil.rmtree(one.folder)
        found = REPAIRABLE
    return found


def probe(stage: str) -> None:
    """Run the probe of ``stage`` in this interpreter; raise ``FindingsError`` with what it raised."""
    (code,) = (one.probe for one in targets.stages() if one.name == stage)
    try:
        exec(compile(code, f"env/stages.toml, probe of {stage}", "exec"), {})  # noqa: S102 - ours
    except Exception as error:
        raise FindingsError(f"probe of {stage}: {type(error).__name__}: {error}") from error


def check(target: str, through: str) -> int:
    """Return 0 when verified, 1 when installing can repair it, 3 when the lock itself is wrong."""
    wrong = verify.stale(target)
    found = wrong or verify.findings(target, through=through or None)
    for one in found:
        _say(str(one))
    return LOCK_IS_WRONG if wrong else REPAIRABLE if found else 0


def remove_declared() -> None:
    """Remove the files that ``docker/removals.toml`` declares from the installed packages."""
    prefix = Path(sys.prefix)
    count, size = slim(prefix, installed.site_folders())
    (prefix / ".lock").unlink(missing_ok=True)  # uv's: every user could write to it
    _say(f"removed {count} declared files, {human(size)}")


def slim(prefix: Path, sites: list[Path], *, root: Path = ROOT) -> tuple[int, int]:
    """Remove the declared files from the packages in ``sites``; return their number and bytes.

    Adds their RECORD paths to the list in ``prefix``. Only files that a RECORD lists are removed.
    """
    patterns = intact.patterns(root=root)
    known = prefix / intact.REMOVED
    removed = set(read_json(known)) if known.exists() else set()
    size, before = 0, len(removed)
    for distribution in installed.distributions(sites):
        for claim in intact.claims(distribution):
            place = Path(claim.place)
            if any(fnmatch.fnmatchcase(claim.path, one) for one in patterns) and place.is_file():
                size += place.stat().st_size
                place.unlink()
                removed.add(claim.path)
                folder = place.parent
                while folder not in sites and not any(folder.iterdir()):
                    folder.rmdir()
                    folder = folder.parent
    write_json(known, sorted(removed))
    return len(removed) - before, size


def surplus(target: str, *, root: Path = ROOT) -> None:
    """Print the installed packages that the lock does not have, one on each line."""
    locked = locks.load(target, root=root).packages(verify.python())
    if not targets.load(target, root=root).colab:  # else the others may be anything
        for name in sorted({one.name for one in installed.distributions()} - locked.keys()):
            print(name)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Run one step and return its exit code, which is 0 where the step returns none."""
    name, *rest = arguments
    steps: dict[str, Callable[..., int | None]] = {
        "plan": plan,
        "runtime": runtime,
        "heal": heal,
        "probe": probe,
        "slim": remove_declared,
        "verify": check,
        "prove": partial(verify.run, files=True),
        "surplus": surplus,
    }
    try:
        return steps[name](*rest) or 0
    except PaperloraError as error:
        _say(str(error))
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
