"""Resolve each target with uv, and cut the resolution into one slice for each stage.

All stages are resolved together. Then, for each k, stages 1..k are compiled with that resolution as
constraints. Slice k is what k adds to k - 1, so no slice needs a later one.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from paperlora import process
from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.core.lock import Lock, Package, Slice, Wheel
from paperlora.environment.locks import metadata
from paperlora.errors import DataError, InputError, NetworkError
from paperlora.files import ROOT, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperlora.environment.core.runtime import Runtime
    from paperlora.environment.core.target import Requirement, Stage, Target

_SYSTEMS = {"x86_64-manylinux": "sys_platform == 'linux' and platform_machine == 'x86_64'"}
_CONNECTIONS = 8
# A comment, or a pin with its hashes; neither ends in a backslash that would join the next line.
_ENTRY = re.compile(
    r"#[^\\\n]*\n"
    r"|([a-z0-9-]+)==([\w.+!-]+)(?: ; [^#\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
)
_OPTIONS = ("--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--only-binary=:all:")


def uv() -> str:
    """Return the path of the pinned uv; ``env/bootstrap.py`` installs it when it is missing."""
    folder = os.environ.get("PAPERLORA_TOOLS")
    if not folder:
        command = [sys.executable, str(ROOT / "env/bootstrap.py"), "tools"]
        done = process.run(command)
        if done.code:
            raise InputError("the tool environment could not be made", remedy=done.stderr.strip())
        folder = done.text
    return str(Path(folder) / "uv")


def compiled(folder: Path, requirements: Sequence[str], *options: str) -> str:
    """Run ``uv pip compile`` in ``folder`` and return what it prints.

    The user's own configuration of uv (indexes, certificates) applies. No Python is downloaded:
    a resolution needs none, and without a network each try would take ten seconds.
    """
    handle, source = tempfile.mkstemp(dir=folder, suffix=".in")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("\n".join(requirements) + "\n")
    command = [uv(), "--directory", str(folder), "pip", "compile", *_OPTIONS, *options, source]
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    done = process.run(command, environment=environment)
    if done.code == 0:
        return done.stdout.decode()
    reason = " ".join(done.stderr.split())
    if re.search(r"error sending request|failed to fetch|dns|timed out", reason, re.IGNORECASE):
        raise NetworkError(f"uv cannot reach the package index: {reason}", remedy="try again")
    raise InputError(f"uv found no resolution: {reason}", remedy="change env/stages.toml")


def wanted(target: Target, stage: Stage) -> list[str]:
    """Return the requirements of ``stage``, without a version where the runtime's own one fits."""
    return [one.name if fits(target.runtime, one) else str(one) for one in stage.requirements]


def fits(runtime: Runtime, one: Requirement) -> bool:
    """Return whether the runtime has ``one`` in a version that the project accepts."""
    own = runtime.packages.get(one.name, "")
    return own != "" and metadata.accepts(one.accepts or one.version, own)


def constraints(target: Target) -> list[str]:
    """Return the runtime's versions as constraints, except for packages that get another version."""
    asked = [one for stage in target.stages for one in stage.requirements]
    changed = {one.name for one in asked if not fits(target.runtime, one)}
    return [
        f"{name}=={public(version)}"
        for name, version in target.runtime.packages.items()
        if name not in changed and version
    ]


def public(version: str) -> str:
    """Return ``2.10.0`` of ``2.10.0+cu128``: the index has the first form, Colab the second."""
    return version.partition("+")[0]


def _settings(target: Target) -> str:
    """Return uv's settings: one platform, and no requirements for a runtime's protected packages.

    A runtime has all that its own build of torch requires. The index's build of the same version may
    require another CUDA.
    """
    lines = ["[tool.uv]", f'environments = ["{_SYSTEMS[target.platform.split("_2_")[0]]}"]']
    for name, version in target.runtime.packages.items():
        if target.protects(name):
            lines += ["[[tool.uv.dependency-metadata]]", f'name = "{name}"', "requires-dist = []"]
            lines += [f'version = "{public(version)}"']
    return "\n".join(lines) + "\n"


def _pins(text: str) -> dict[str, list[str]]:
    """Return name → lines (pin and marker) of uv's requirements output without hashes."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        found.setdefault(line.split("==")[0], []).append(line)
    return found


def _wheels(folder: Path, target: Target, pins: Sequence[str]) -> list[Package]:
    """Return the packages that apply to each Python of the target, with their permitted files."""
    merged: dict[tuple[str, str], tuple[list[str], dict[str, Wheel]]] = {}
    urls: dict[tuple[str, str], str] = {}
    for python in sorted(target.python):
        options = ("--python-version", python, "--python-platform", target.platform)
        cutoff = ("--exclude-newer", target.cutoff, "--format", "pylock.toml", "--no-deps")
        document = tomllib.loads(compiled(folder, pins, *options, *cutoff))
        for row in document["packages"]:
            versions, wheels = merged.setdefault((row["name"], row["version"]), ([], {}))
            versions.append(python)
            urls[row["name"], row["version"]] = row["wheels"][0]["url"]
            for wheel in row["wheels"]:
                file = wheel.get("name") or wheel["url"].rsplit("/", 1)[1]
                digest = wheel["hashes"]["sha256"]
                wheels[file] = Wheel(file=file, sha256=digest, size=wheel["size"])
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        said = dict(zip(urls, pool.map(metadata.fetch, urls.values()), strict=True))
    return [
        Package(
            name=name,
            version=version,
            python=tuple(versions),
            wheels=tuple(wheel for _, wheel in sorted(wheels.items())),
            requires=said[name, version].requires,
            requires_python=said[name, version].requires_python,
        )
        for (name, version), (versions, wheels) in sorted(merged.items())
    ]


def _stage_of(
    folder: Path, target: Target, pins: Sequence[str], options: Sequence[str]
) -> dict[str, str]:
    """Return name → the first stage that needs the package, by cumulative compilation."""
    (folder / "constraints.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    asked = list(accumulate(wanted(target, stage) for stage in target.stages))
    # In parallel: nearly all of the time goes into waiting for the index.
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        texts = list(pool.map(lambda some: compiled(folder, some, *options), asked))
    first: dict[str, str] = {}
    for stage, text in zip(target.stages, texts, strict=True):
        for name in _pins(text):
            first.setdefault(name, stage.name)
    return first


def resolve(target: Target) -> Lock:
    """Resolve one target and return its lock.

    Raises ``InputError`` when there is no resolution, ``NetworkError`` when the index cannot be reached.
    """
    oldest = min(target.python, key=lambda version: int(version.split(".")[1]))
    universal = ("--universal", "--python-version", oldest, "--exclude-newer", target.cutoff)
    options = (*universal, "--constraints", "constraints.txt")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text(_settings(target))
        (folder / "constraints.txt").write_text("\n".join(constraints(target)) + "\n")
        asked = [one for stage in target.stages for one in wanted(target, stage)]
        found = _pins(compiled(folder, asked, *options))
        versions = {n: pin.partition("==")[2].partition(" ")[0] for n, (pin, *_) in found.items()}
        runtime = target.runtime.packages if target.colab else {}
        own = {n: v for n, v in runtime.items() if public(v) == versions.get(n)}
        pins = [line for lines in found.values() for line in lines]
        missing = [line for name, lines in found.items() if name not in own for line in lines]
        packages = _wheels(folder, target, missing)
        first = _stage_of(folder, target, pins, options)
    slices = []
    for stage in target.stages:
        mine = tuple(package for package in packages if first[package.name] == stage.name)
        slices.append(Slice(stage=stage.name, file=stage.slice_name, packages=mine))
    return Lock(
        target=target.name,
        input_digest=target.input_digest,
        uv=process.run([uv(), "--version"]).text.split()[1],
        cutoff=target.cutoff,
        runtime=target.runtime.name,
        python=tuple(sorted(target.python)),
        platform=target.platform,
        installed_bytes=target.installed_bytes,
        provided=own,
        slices=tuple(slices),
        digest="",
    )


def tool_pins(text: str) -> list[tuple[str, str]]:
    """Return the (name, version) pairs of a list of hashed requirements, as uv writes them.

    Raises ``DataError`` that names the first line of anything else, such as a pin without a hash.
    """
    found, place = [], 0
    while place < len(text):
        entry = _ENTRY.match(text, place)
        if entry is None:
            line = text.count("\n", 0, place) + 1
            raise DataError(
                f"line {line} does not begin a pin with hashes", remedy="env/nox -s lock"
            )
        if entry[1]:
            found.append((entry[1], entry[2]))
        place = entry.end()
    return found


def run(*names: str, root: Path = ROOT) -> None:
    """Write the locks of the tools and of the named targets (by default all) again.

    Nothing is written before everything is resolved, so a failure leaves the locks as they were.
    """
    loaded = [targets.load(name, root=root) for name in names or targets.names(root=root)]
    files: dict[Path, str] = {}
    surplus: set[Path] = set()
    said = []
    for name, tools in targets.toolsets(root=root).items():
        print(f"locking {name}", file=sys.stderr)
        options = ("--universal", "--python-version", tools["python"], "--generate-hashes")
        cutoff = ("--exclude-newer", loaded[0].cutoff)
        with tempfile.TemporaryDirectory() as folder:
            text = compiled(Path(folder), tools["packages"], *options, *cutoff)
        files[root / f"lockfiles/{name}.txt"] = f"# {locks.GENERATED}\n{text}"
    for target in loaded:
        print(f"locking target {target.name}", file=sys.stderr)
        lock = resolve(target)
        place = root / "lockfiles" / target.name
        files |= {place / name: text for name, text in locks.texts(lock).items()}
        surplus |= {*place.glob("*.txt")} - {*files}
        count = len(lock.pins)
        said.append(f"{target.name}: {count} packages in {len(lock.slices)} slices, uv {lock.uv}")
    for path in (*files, *surplus):
        locks.refuse_hand_written(path)
    for path, text in files.items():
        write_text(path, text)
    for path in surplus:
        path.unlink()
    print("\n".join(said))
