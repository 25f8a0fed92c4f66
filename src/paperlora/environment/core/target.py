"""Read targets, stages and tool lists from the TOML files that people write in ``env/``."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from paperlora.environment.core import runtime
from paperlora.errors import InputError
from paperlora.files import ROOT, sha256_json

if TYPE_CHECKING:
    from pathlib import Path

    from paperlora.environment.core.runtime import Runtime


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One package that a stage requires.

    A resolution takes ``version`` (``==5.8.1``), unless the runtime has a version that ``accepts``
    allows. Either may be empty.
    """

    name: str
    version: str
    accepts: str
    why: str

    def __str__(self) -> str:
        """Return the requirement in a resolver's form, for use when the runtime's version does not fit."""
        return self.name + self.version


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One install stage; ``number`` is 10, 20, … in the order of ``env/stages.toml``."""

    name: str
    number: int
    requirements: tuple[Requirement, ...]
    probe: str

    @property
    def slice_name(self) -> str:
        """The file name of this stage's part of a lock."""
        return f"{self.number}-{self.name}.txt"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What one environment is built for, with everything that decides its lock.

    A target with ``colab`` is installed into the runtime itself, so its slices hold only what the
    runtime lacks or has in another version. ``protected`` are patterns of packages that such a slice
    must not hold; ``neighbours`` are packages of a runtime that use a package that a target changes.
    """

    name: str
    colab: bool
    protected: tuple[str, ...]
    neighbours: tuple[str, ...]
    python: tuple[str, ...]
    platform: str
    runtime: Runtime
    cutoff: str
    installed_bytes: int
    stages: tuple[Stage, ...]

    @property
    def input_digest(self) -> str:
        """SHA-256 over everything that decides the resolution; reasons, comments and probes do not."""
        return sha256_json(
            {
                "colab": self.colab,
                "cutoff": self.cutoff,
                "platform": self.platform,
                "python": self.python,
                "runtime": [self.runtime.name, self.runtime.commit, self.runtime.packages],
                "protected": self.protected,
                "stages": [
                    [stage.name, *([str(r), r.accepts] for r in stage.requirements)]
                    for stage in self.stages
                ],
            }
        )

    def protects(self, name: str) -> bool:
        """Return whether the runtime's own version of ``name`` must stay."""
        return self.colab and any(fnmatch(name, pattern) for pattern in self.protected)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing", remedy="restore it from the repository") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}", remedy="fix that line") from None


def names(*, root: Path = ROOT) -> list[str]:
    """Return the names of all targets."""
    return sorted(_read(root / "env/targets.toml")["target"])


def stages(*, root: Path = ROOT) -> tuple[Stage, ...]:
    """Return the install stages in order; a package that is also a tool has the tool's version."""
    tools = toolsets(root=root)["tools"]["packages"]
    pins = dict(re.findall(r"([\w-]+)(==[^\s;]+)", "\n".join(tools)))
    return tuple(
        Stage(
            name=row["name"],
            number=10 * place,
            requirements=tuple(
                Requirement(
                    name=item["name"],
                    version=item.get("version") or pins.get(item["name"], ""),
                    accepts=item.get("accepts", ""),
                    why=item["why"],
                )
                for item in row["packages"]
            ),
            probe=row["probe"],
        )
        for place, row in enumerate(_read(root / "env/stages.toml")["stage"], start=1)
    )


def toolsets(*, root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """Return name → ``python`` and ``packages`` of each tool list, locked in ``lockfiles/<name>.txt``."""
    return dict(sorted(_read(root / "env/targets.toml")["tools"].items()))


def load(name: str, *, root: Path = ROOT) -> Target:
    """Return the target called ``name``; ``InputError`` when it does not exist."""
    document = _read(root / "env/targets.toml")
    if name not in document["target"]:
        known = sorted(document["target"])
        near = get_close_matches(name, known, n=1) or known
        raise InputError(f"there is no target {name!r}", remedy=f"use {' or '.join(near)}")
    row = document["target"][name]
    return Target(
        name=name,
        python=tuple(row["python"]),
        platform=row["platform"],
        colab=row.get("colab", False),
        protected=tuple(document.get("protected", ())),
        neighbours=tuple(document.get("neighbours", ())),
        runtime=runtime.load(row["runtime"], root=root),
        cutoff=document["cutoff"],
        installed_bytes=int(row["installed"]),
        stages=stages(root=root),
    )
