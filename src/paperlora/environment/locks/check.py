"""Check that the locks are fresh, whole and consistent, and that all files keep the stage order.

It needs no network and about a second: each lock holds what its packages require.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.core import verify
from paperlora.environment.core.finding import Finding
from paperlora.environment.locks import metadata, resolve
from paperlora.environment.locks.metadata import Metadata
from paperlora.errors import DataError, EnvironmentNotVerifiedError, FindingsError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from paperlora.environment.core.lock import Lock, Package
    from paperlora.environment.core.target import Target

LOCK_AGAIN = "nox -s lock"
# Files beside env/stages.toml that may name stages.
FOLLOWERS = (
    "docker/Dockerfile",
    "docker/docker-bake.hcl",
    "env/install.sh",
    "noxfile.py",
    ".ci/run",
    ".github/workflows/ci.yml",
    ".github/workflows/images.yml",
    ".github/workflows/update.yml",
)
_STAGE = re.compile(r"--stage[ =]([\w-]+)|(?<![\w-])\d\d-([a-z]+)\.txt")
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
# What lock.json may render into a slice: anything else could become a line of its own there.
_PIN = re.compile(r"[a-z0-9-]+==[\w.+!-]+( [0-9a-f]{64})+")


def of_target(target: Target, *, root: Path = ROOT) -> list[Finding]:
    """Return everything that is wrong with the lock of ``target``."""
    try:
        lock = locks.load(target.name, root=root)
    except EnvironmentNotVerifiedError as error:
        return [Finding(subject=target.name, problem=error.args[0], remedy=error.remedy)]
    found = [*verify.stale(target.name, root=root), *_stages(target, lock), *_pins(target, lock)]
    for python in lock.python:
        found += _asked_for(target, lock, python)
        found += _requirements(target, lock, python)
    if target.colab != target.name.startswith("colab-"):
        problem = "env/install.sh recognises a Colab target by its name"
        remedy = "give exactly the targets with colab = true a name that begins with colab-"
        found.append(Finding(subject=target.name, problem=problem, remedy=remedy))
    if target.colab:
        found += _runtime_s_own(target, lock)
    return list(dict.fromkeys(found))


def _stages(target: Target, lock: Lock) -> Iterator[Finding]:
    wanted = [stage.slice_name.removesuffix(".txt") for stage in target.stages]
    seen = [part.file.removesuffix(".txt") for part in lock.slices]
    if wanted != seen or lock.stages != [stage.name for stage in target.stages]:
        problem = f"its stages are {' '.join(seen)}, env/stages.toml has {' '.join(wanted)}"
        yield Finding(subject=f"lock of {target.name}", problem=problem, remedy=LOCK_AGAIN)


def _pins(target: Target, lock: Lock) -> Iterator[Finding]:
    """Yield each package that is locked twice for one Python, or is not pinned by hash."""
    first: dict[tuple[str, str], str] = {}
    for part in lock.slices:
        for package in part.packages:
            for python in package.python:
                before = first.setdefault((package.name, python), part.stage)
                if before != part.stage:
                    problem = f"{target.name} has it in stage {before} and in stage {part.stage}"
                    yield Finding(subject=package.name, problem=problem, remedy=LOCK_AGAIN)
            hashes = "".join(f" {wheel.sha256}" for wheel in package.wheels)
            if not _PIN.fullmatch(f"{package.name}=={package.version}{hashes}"):
                problem = f"{target.name}, stage {part.stage}: it is not a pin with hashes"
                yield Finding(subject=package.name, problem=problem, remedy=LOCK_AGAIN)


def _asked_for(target: Target, lock: Lock, python: str) -> Iterator[Finding]:
    """Yield each package that a stage asks for and that no slice up to it has in that version."""
    for stage in target.stages:
        if stage.name not in lock.stages:
            continue
        held = {n: p.version for n, (_, p) in lock.packages(python, through=stage.name).items()}
        for one in stage.requirements:
            there = held.get(one.name) or lock.provided.get(one.name, "")
            allowed = one.accepts or one.version
            if not there or (allowed and not metadata.accepts(allowed, there)):
                problem = (
                    f"{target.name}, stage {stage.name}, Python {python}: asked for as "
                    f"{one.name}{allowed}, locked {there or 'nothing'} up to this stage"
                )
                yield Finding(subject=one.name, problem=problem, remedy=LOCK_AGAIN)


def _requirements(target: Target, lock: Lock, python: str) -> Iterator[Finding]:
    """Yield each requirement that is not met by its own or an earlier stage."""
    full = target.runtime.python if target.runtime.python.startswith(f"{python}.") else python
    environment = metadata.marker_environment(full)
    every = lock.packages(python)
    held = {name: Metadata(name=name, version=version) for name, version in lock.provided.items()}
    for part in lock.slices:
        mine = [one for one in part.packages if python in one.python]
        held |= {one.name: _metadata(one) for one in mine}
        for one in mine:
            if one.requires_python and not metadata.accepts(one.requires_python, full):
                problem = f"{target.name}, stage {part.stage}: needs Python {one.requires_python}, not {full}"
                yield Finding(subject=one.name, problem=problem, remedy=LOCK_AGAIN)
        for bad in metadata.unmet(held, environment, of=[one.name for one in mine]):
            problem = (
                f"{target.name}, stage {part.stage}, Python {python}: requires {bad.requirement}, "
                f"{_instead(bad.needs, bad.found, every)}"
            )
            yield Finding(subject=bad.package, problem=problem, remedy=LOCK_AGAIN)


def _metadata(package: Package) -> Metadata:
    return Metadata(name=package.name, version=package.version, requires=package.requires)


def _instead(needs: str, found: str, every: Mapping[str, tuple[str, Package]]) -> str:
    if found:
        return f"locked {found}"
    return (
        f"which comes later, in stage {every[needs][0]}" if needs in every else "which no stage has"
    )


def _runtime_s_own(target: Target, lock: Lock) -> Iterator[Finding]:
    """Yield what a Colab target must not install, and what it wrongly expects from the runtime."""
    own = target.runtime.packages
    for part in lock.slices:
        for one in part.packages:
            if target.protects(one.name):
                problem = (
                    f"{target.name}, stage {part.stage}: {one.version} is locked, but the runtime's "
                    "own version is protected"
                )
                yield Finding(subject=one.name, problem=problem, remedy=LOCK_AGAIN)
            elif resolve.public(own.get(one.name, "")) == one.version:
                problem = (
                    f"{target.name}, stage {part.stage}: the runtime has {one.version} already"
                )
                yield Finding(subject=one.name, problem=problem, remedy=LOCK_AGAIN)
    for name, version in lock.provided.items():
        if own.get(name) != version:
            problem = f"{target.name}: expected {version}, the runtime has {own.get(name, 'none')}"
            yield Finding(subject=name, problem=problem, remedy=LOCK_AGAIN)


def order_elsewhere(*, root: Path = ROOT) -> list[Finding]:
    """Return where a file names an unknown stage, or stages in another order than the declared one."""
    numbers = {stage.name: stage.number for stage in targets.stages(root=root)}
    found = []
    for name in FOLLOWERS:
        path = root / name
        if not path.exists():
            continue
        text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
        last = ""
        for stage in (match[1] or match[2] for match in _STAGE.finditer(text)):
            if stage not in numbers:
                problem = f"names stage {stage}, which env/stages.toml does not have"
                found.append(Finding(subject=name, problem=problem, remedy="rename it there"))
            elif last and numbers[stage] < numbers[last]:
                problem = f"has stage {stage} after {last}; env/stages.toml has it before"
                found.append(Finding(subject=name, problem=problem, remedy="swap them there"))
            last = stage if stage in numbers else last
    return found


def tools(*, root: Path = ROOT) -> list[Finding]:
    """Return what is wrong with the locks of the tools."""
    found = []
    for tool in targets.toolsets(root=root):
        where = f"lockfiles/{tool.name}.txt"
        path = root / where
        if not path.exists():
            found.append(Finding(subject=where, problem="is missing", remedy=LOCK_AGAIN))
            continue
        try:
            pins = resolve.tool_pins(path.read_bytes().decode(errors="replace"))
        except DataError as error:
            found.append(Finding(subject=where, problem=error.args[0], remedy=error.remedy))
            continue
        for text in tool.packages:
            one = metadata.requirement(text)
            if not any(
                name == one.name and one.specifier.contains(version, prereleases=True)
                for name, version in pins
            ):
                problem = (
                    f"does not have {one.name}{one.specifier}, which env/targets.toml asks for"
                )
                found.append(Finding(subject=where, problem=problem, remedy=LOCK_AGAIN))
    return found


def findings(*, root: Path = ROOT) -> list[Finding]:
    """Return everything that is wrong with the locks and with what follows the stage order."""
    loaded = [targets.load(name, root=root) for name in targets.names(root=root)]
    found = [one for target in loaded for one in of_target(target, root=root)]
    return found + tools(root=root) + order_elsewhere(root=root)


def run(*, root: Path = ROOT) -> None:
    """Print one line when nothing is wrong.

    Raises ``FindingsError`` after it has printed each finding on a line.
    """
    found = findings(root=root)
    for one in found:
        print(one)
    if found:
        raise FindingsError(f"check found {len(found)} faults in the locks or the stage order")
    names = targets.names(root=root)
    pins = sum(len(part.packages) for name in names for part in locks.load(name, root=root).slices)
    print(f"checked: {', '.join(names)}: {pins} pins, every requirement met in its stage or before")
