"""Install the stages of a target one after another, and prove that each one only adds packages.

After each stage: the slices up to it and nothing else are installed, no earlier file has changed, no
two packages have one file, every requirement is met, the wheels have the metadata that the lock has,
and the probe works. A Colab target is installed on a stand-in for its runtime: the runtime's
versions from the package index.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperlora import process
from paperlora.environment.core import installed, intact
from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.locks import metadata, resolve
from paperlora.errors import Finding, FindingsError, InputError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from paperlora.environment.core.lock import Lock, Metadata, Package
    from paperlora.environment.core.target import Stage, Target

REMEDY = "env/nox -s lock, or correct the slice"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The content of an environment: package → metadata, file → owner → recorded hash, file → state.

    A file's state is its size, time of change and inode: an installer that writes it changes them.
    """

    packages: dict[str, Metadata]
    owners: dict[str, dict[str, str]]
    states: dict[str, tuple[int, int, int]]


def _held(
    stage: str,
    locked: Mapping[str, Package],
    before: Snapshot,
    after: Snapshot,
    replaces: frozenset[str],
) -> Iterator[Finding]:
    for name in sorted({*before.packages, *after.packages, *locked}):
        old, new = (some.packages.get(name) for some in (before, after))
        was, now = (one.version if one else "nothing" for one in (old, new))
        if name in locked and now != locked[name].version:
            problem = f"stage {stage} installs {locked[name].version}, found {now}"
        elif name in locked and old and name not in replaces:
            problem = f"stage {stage} installs it again, an earlier stage installed {was}"
        elif name not in locked and was != now:
            problem = f"stage {stage} changed {was} to {now}, but its slice does not have it"
        else:
            continue
        yield Finding(name, problem, REMEDY)


def _files(
    stage: str, before: Snapshot, after: Snapshot, replaces: frozenset[str]
) -> Iterator[Finding]:
    for place, owners in after.owners.items():
        # Packages of one namespace may have the same __init__.py.
        if len(set(owners.values())) > 1 and before.owners.get(place) != owners:
            problem = f"stage {stage}: it belongs to {' and '.join(owners)}"
            yield Finding(place, problem, "drop one of the packages")
    for place, state in before.states.items():
        if after.states.get(place) != state and not before.owners[place].keys() <= replaces:
            owner = " and ".join(before.owners[place])
            problem = f"stage {stage} changed this file of {owner}, installed earlier"
            yield Finding(place, problem, REMEDY)


def _requirements(
    stage: str, locked: Mapping[str, Package], after: Snapshot, python: str
) -> Iterator[Finding]:
    there = [name for name in locked if name in after.packages]
    for name in there:
        if after.packages[name].requires != locked[name].requires:
            problem = f"stage {stage}: its wheel has other requirements than the lock"
            yield Finding(name, problem, "env/nox -s lock")
    environment = metadata.marker_environment(python)
    for bad in metadata.unmet(after.packages, environment, of=there):
        problem = f"stage {stage}: requires {bad.requirement}, found {bad.found or 'nothing'}"
        yield Finding(bad.package, problem, REMEDY)


@dataclass(frozen=True, kw_only=True)
class Place:
    """An environment to install into: its ``prefix``, and ``python`` as in ``3.12``."""

    prefix: Path
    python: str

    @property
    def interpreter(self) -> str:
        """The path of its Python."""
        return str(self.prefix / "bin/python")

    def look(self) -> Snapshot:
        """Take a snapshot of what it holds."""
        packages, states = {}, {}
        owners: dict[str, dict[str, str]] = {}
        site = self.prefix / f"lib/python{self.python}/site-packages"
        for one in installed.distributions([site]):
            text = (one.folder / "METADATA").read_text(encoding="utf-8", errors="replace")
            packages[one.name] = metadata.parse(text)
            for claim in intact.claims(one):
                owners.setdefault(claim.place, {})[one.name] = claim.hashed
                if os.path.exists(claim.place):  # noqa: PTH110 - a hundred thousand files
                    seen = os.stat(claim.place)  # noqa: PTH116
                    states[claim.place] = (seen.st_size, seen.st_mtime_ns, seen.st_ino)
        return Snapshot(packages=packages, owners=owners, states=states)

    def install(self, *arguments: str) -> str:
        """Run ``uv pip install`` and return what is wrong, ``""`` if nothing."""
        command = [resolve.uv(), "pip", "install", "--quiet", "--python", self.interpreter]
        done = process.run([*command, *arguments])
        return (" ".join(done.stderr.split()) or f"uv ended with {done.code}") if done.code else ""


def fresh(prefix: Path, python: str) -> Place:
    """Make an empty environment with the interpreter ``python``; an old one in that folder goes."""
    command = [resolve.uv(), "venv", "--quiet", "--no-project", "--clear", "--python", python]
    done = process.run([*command, str(prefix)])
    if done.code != 0:
        raise InputError(
            f"no environment with {python}: {done.stderr}", remedy="name another --python"
        )
    (site,) = prefix.glob("lib/python3*/site-packages")
    return Place(prefix=prefix, python=site.parent.name.removeprefix("python"))


def stand_in(target: Target, lock: Lock, place: Place) -> None:
    """Install the runtime's versions of the packages that the target needs, and their neighbours.

    The index's torch may require other CUDA libraries than Colab has, so these are not constrained.
    """
    own = target.runtime.packages
    ours = {one.name for _, one in lock.pins}
    names = {*lock.provided, *target.neighbours, *ours} & own.keys()
    roots = [
        name for name in sorted(names) if not target.protects(name) or name.startswith("torch")
    ]
    held = [f"{n}=={resolve.public(v)}" for n, v in own.items() if v and not target.protects(n)]
    constraints = place.prefix / "runtime.txt"
    constraints.write_text("\n".join(held) + "\n", encoding="utf-8")
    wanted = [f"{name}=={resolve.public(own[name])}" for name in roots]
    if wrong := place.install("--constraints", str(constraints), *wanted):
        raise InputError(
            f"no stand-in for runtime {target.runtime.name}: {wrong}",
            remedy="check that the index has these versions",
        )


def append(
    target: Target, lock: Lock, stage: Stage, place: Place, *, root: Path = ROOT
) -> list[Finding]:
    """Install one stage and return the findings."""
    part = lock.slices[lock.stages.index(stage.name)]
    path = root / "lockfiles" / target.name / part.file
    before = place.look()
    if "==" in path.read_text(encoding="utf-8"):
        hashed = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
        if wrong := place.install(*hashed, "-r", str(path)):
            return [Finding(part.file, wrong, REMEDY)]
    after = place.look()
    locked = {one.name: one for one in part.packages if place.python in one.python}
    mine = {one.name for one in part.packages}
    # A slice for a Colab runtime must change these packages of the runtime.
    replaces = frozenset(mine & target.runtime.packages.keys() if target.colab else ())
    found = [
        *_held(stage.name, locked, before, after, replaces),
        *_files(stage.name, before, after, replaces),
        *_requirements(stage.name, locked, after, place.python),
    ]
    done = process.run([place.interpreter, "-c", stage.probe])
    if done.code != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.code}"]
        problem = f"the probe of stage {stage.name} fails: {lines[-1]}"
        found.append(Finding(stage.name, problem, REMEDY))
    return found


def train(place: Place, target: str, *, root: Path = ROOT) -> None:
    """Train and score the tiny model there in 4 bits, with the command that a user would run."""
    run_folder = place.prefix / "run"
    command = [place.interpreter, "-m", "paperlora", "train", "eval", "--config", "tiny"]
    # The stand-in has all that the target needs from its runtime, so it verifies like the runtime.
    variables = {**os.environ, "PYTHONPATH": str(root / "src"), "PAPERLORA_TARGET": target}
    done = process.run([*command, "--run", str(run_folder)], environment=variables)
    if done.code != 0:
        raise FindingsError(f"the tiny model does not train there: {done.stderr.strip()[-400:]}")
    print("tiny: trained in 4 bits and scored")


def run(
    name: str,
    *,
    python: str = "",
    keep: Path | None = None,
    trains: bool = False,
    root: Path = ROOT,
) -> None:
    """Install ``name`` stage by stage into a new environment and print a line for each stage.

    The environment stays in the folder ``keep``; ``trains`` trains the tiny model in it. Raises
    ``FindingsError`` after the first stage that did anything else than add its packages.
    """
    target, lock = targets.load(name, root=root), locks.load(name, root=root)
    prefix = keep or root / f".envs/order-{name}"
    place = fresh(prefix, python or sys.executable)
    try:
        if target.colab:
            what = f"a stand-in for Colab's runtime {target.runtime.name}"
            print(f"installing {what}", file=sys.stderr)
            stand_in(target, lock, place)
        for stage in target.stages:
            begun = time.monotonic()
            found = append(target, lock, stage, place, root=root)
            for one in found:
                print(one)
            if found:
                raise FindingsError(f"stage {stage.name} of {name} does not only add its packages")
            seconds = time.monotonic() - begun
            print(f"{stage.slice_name}: added, nothing earlier changed, works ({seconds:.1f} s)")
        if trains:
            train(place, name, root=root)
    finally:
        if keep is None:
            shutil.rmtree(prefix)
