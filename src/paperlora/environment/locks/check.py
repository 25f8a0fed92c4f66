"""Check that the locks are fresh, whole and consistent, and that all files keep the stage order.

It needs no network and about a second: each lock holds what its packages require.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.core import verify
from paperlora.environment.core.lock import Metadata
from paperlora.environment.locks import metadata, resolve
from paperlora.errors import DataError, EnvironmentNotVerifiedError, Finding, FindingsError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paperlora.environment.core.lock import Lock
    from paperlora.environment.core.target import Target

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
_LOCK = "env/nox -s lock"
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
# What lock.json may render into a slice: anything else could become a line of its own there.
_PIN = re.compile(r"[a-z0-9-]+==[\w.+!-]+( [0-9a-f]{64})+")


def of_target(target: Target, *, root: Path = ROOT) -> list[Finding]:
    """Return everything that is wrong with the lock of ``target``."""
    try:
        lock = locks.load(target.name, root=root)
    except EnvironmentNotVerifiedError as error:
        return [Finding(target.name, error.args[0], error.remedy)]
    found = [*verify.stale(target.name, root=root), *_stages(target, lock), *_pins(target, lock)]
    for python in lock.python:
        found += _asked_for(target, lock, python)
        found += _requirements(target, lock, python)
    if target.colab != target.name.startswith("colab-"):
        problem = "env/install.sh recognises a Colab target by its name"
        remedy = "give exactly the targets with colab = true a name that begins with colab-"
        found.append(Finding(target.name, problem, remedy))
    if target.colab:
        found += _in_the_runtime(target, lock)
    return list(dict.fromkeys(found))


def _stages(target: Target, lock: Lock) -> Iterator[Finding]:
    wanted = [stage.slice_name.removesuffix(".txt") for stage in target.stages]
    seen = [part.file.removesuffix(".txt") for part in lock.slices]
    if wanted != seen or lock.stages != [stage.name for stage in target.stages]:
        problem = f"its stages are {' '.join(seen)}, env/stages.toml has {' '.join(wanted)}"
        yield Finding(f"lock of {target.name}", problem, _LOCK)


def _pins(target: Target, lock: Lock) -> Iterator[Finding]:
    """Yield each package that is locked twice for one Python, or is not pinned by hash."""
    first: dict[tuple[str, str], str] = {}
    for stage, package in lock.pins:
        for python in package.python:
            before = first.setdefault((package.name, python), stage)
            if before != stage:
                problem = f"{target.name} has it in stage {before} and in stage {stage}"
                yield Finding(package.name, problem, _LOCK)
        hashes = "".join(f" {wheel.sha256}" for wheel in package.wheels)
        if not _PIN.fullmatch(f"{package.name}=={package.version}{hashes}"):
            yield Finding(
                package.name, f"{target.name}, stage {stage}: it is not a pin with hashes", _LOCK
            )


def _asked_for(target: Target, lock: Lock, python: str) -> Iterator[Finding]:
    """Yield each package that a stage requires and that no slice up to it has in that version."""
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
                yield Finding(one.name, problem, _LOCK)


def _requirements(target: Target, lock: Lock, python: str) -> Iterator[Finding]:
    """Yield each requirement of a package that neither its own nor an earlier stage meets."""
    full = target.runtime.python if target.runtime.python.startswith(f"{python}.") else python
    environment = metadata.marker_environment(full)
    every = lock.packages(python)
    held = {name: Metadata(name=name, version=version) for name, version in lock.provided.items()}
    for stage in lock.stages:
        mine = [one for place, one in every.values() if place == stage]
        held |= {one.name: one for one in mine}
        for one in mine:
            if one.requires_python and not metadata.accepts(one.requires_python, full):
                needs = f"needs Python {one.requires_python}, not {full}"
                yield Finding(one.name, f"{target.name}, stage {stage}: {needs}", _LOCK)
        for bad in metadata.unmet(held, environment, of=[one.name for one in mine]):
            if bad.found:
                state = f"locked {bad.found}"
            elif bad.needs in every:
                state = f"which comes later, in stage {every[bad.needs][0]}"
            else:
                state = "which no stage has"
            where = f"{target.name}, stage {stage}, Python {python}"
            yield Finding(bad.package, f"{where}: requires {bad.requirement}, {state}", _LOCK)


def _in_the_runtime(target: Target, lock: Lock) -> Iterator[Finding]:
    """Yield what a Colab target must not install, and what it wrongly expects from the runtime."""
    own = target.runtime.packages
    for stage, one in lock.pins:
        where = f"{target.name}, stage {stage}"
        if target.protects(one.name):
            problem = (
                f"{where}: {one.version} is locked, but the runtime's own version is protected"
            )
            yield Finding(one.name, problem, _LOCK)
        elif resolve.public(own.get(one.name, "")) == one.version:
            yield Finding(one.name, f"{where}: the runtime has {one.version} already", _LOCK)
    for name, version in lock.provided.items():
        if own.get(name) != version:
            seen = own.get(name, "none")
            yield Finding(name, f"{target.name}: expected {version}, the runtime has {seen}", _LOCK)


def order_elsewhere(*, root: Path = ROOT) -> Iterator[Finding]:
    """Yield where a file names an unknown stage, or stages in another order, or the image lacks one."""
    numbers = {stage.name: stage.number for stage in targets.stages(root=root)}
    for name in FOLLOWERS:
        path = root / name
        text = _COMMENT.sub("", path.read_text(encoding="utf-8")) if path.exists() else ""
        last, named = "", [match[1] or match[2] for match in _STAGE.finditer(text)]
        if text and name == "docker/Dockerfile":
            for stage in sorted(numbers.keys() - {*named}):
                problem = f"does not install stage {stage} of env/stages.toml"
                yield Finding(name, problem, "add it there")
        for stage in named:
            if stage not in numbers:
                problem = f"names stage {stage}, which env/stages.toml does not have"
                yield Finding(name, problem, "rename it there")
                continue
            if last and numbers[stage] < numbers[last]:
                problem = f"has stage {stage} after {last}; env/stages.toml has it before"
                yield Finding(name, problem, "swap them there")
            last = stage


def tools(*, root: Path = ROOT) -> Iterator[Finding]:
    """Yield what is wrong with the lists of tools."""
    for name, tool in targets.toolsets(root=root).items():
        where = f"lockfiles/{name}.txt"
        try:
            pins = resolve.tool_pins((root / where).read_bytes().decode(errors="replace"))
        except FileNotFoundError:
            yield Finding(where, "is missing", _LOCK)
            continue
        except DataError as error:
            yield Finding(where, error.args[0], _LOCK)
            continue
        for one in map(metadata.requirement, tool["packages"]):
            if not any(pin == one.name and metadata.admits(one, held) for pin, held in pins):
                wanted = f"{one.name}{one.specifier}"
                yield Finding(where, f"lacks {wanted}, which env/targets.toml requires", _LOCK)


def findings(*, root: Path = ROOT) -> list[Finding]:
    """Return everything that is wrong with the locks and with the stage order elsewhere."""
    loaded = [targets.load(name, root=root) for name in targets.names(root=root)]
    found = [one for target in loaded for one in of_target(target, root=root)]
    return [*found, *tools(root=root), *order_elsewhere(root=root)]


def run(*, root: Path = ROOT) -> None:
    """Print one line when nothing is wrong; otherwise print each finding and raise ``FindingsError``."""
    found = findings(root=root)
    for one in found:
        print(one)
    if found:
        raise FindingsError(f"check found {len(found)} faults in the locks or the stage order")
    names = targets.names(root=root)
    pins = sum(len(locks.load(name, root=root).pins) for name in names)
    print(f"checked: {', '.join(names)}: {pins} pins, every requirement met in its stage or before")
