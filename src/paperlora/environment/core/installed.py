"""List the installed packages of an interpreter, from ``*.dist-info`` and ``*.egg-info``.

Names and versions are those of ``importlib.metadata``; reading them takes a fraction of its time.
"""

from __future__ import annotations

import csv
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS = re.compile(rb"^(Name|Version):[ \t]*(\S+)", re.MULTILINE)
# Name and version are in the first lines of METADATA; the long description is not needed.
_HEAD_BYTES = 2048


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One installed package; ``folder`` is its ``*.dist-info`` (``*.egg-info`` may be a file)."""

    name: str
    version: str
    folder: Path


def normalised(name: str) -> str:
    """Return a package name in the form that locks use (PyPA's name normalisation)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def site_folders() -> list[Path]:
    """Return the folders from which this interpreter imports installed packages."""
    ends = ("site-packages", "dist-packages")
    return [Path(entry) for entry in sys.path if entry.rstrip("/").endswith(ends)]


def distributions(folders: Iterable[Path] | None = None) -> list[Distribution]:
    """Return all packages in ``folders`` (default: this interpreter's), sorted; a version may be empty."""
    found = [
        _distribution(entry)
        for folder in (site_folders() if folders is None else folders)
        for entry in (*folder.glob("*.dist-info"), *folder.glob("*.egg-info"))
    ]
    return sorted(found, key=lambda one: (one.name, one.version))


def _distribution(folder: Path) -> Distribution:
    path = folder / "METADATA"
    if folder.suffix == ".egg-info":
        path = folder / "PKG-INFO" if folder.is_dir() else folder
    try:
        with path.open("rb") as file:
            fields = dict(reversed(_FIELDS.findall(file.read(_HEAD_BYTES))))
    except OSError:
        fields = {}
    name = fields.get(b"Name", folder.name.split("-")[0].encode()).decode()
    return Distribution(
        name=normalised(name), version=fields.get(b"Version", b"").decode(), folder=folder
    )


def missing_files(distribution: Distribution) -> list[str]:
    """Return the files of its RECORD that are missing, or ``RECORD`` if that is missing itself."""
    if distribution.folder.suffix == ".egg-info":
        return []  # the old format has no RECORD
    try:
        with (distribution.folder / "RECORD").open(encoding="utf-8", newline="") as file:
            names = [row[0] for row in csv.reader(file) if row]
    except OSError:
        return ["RECORD"]
    site = distribution.folder.parent
    return [name for name in names if not (site / name).exists()]
