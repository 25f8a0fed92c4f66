"""Compare every installed file with the RECORD of its wheel.

RECORD (PyPA's "Recording installed projects") lists each file of a package with its hash and size.
RECORD itself has no hash, so a change of both a file and its line is not found. A file that an image
build removed may be missing if that is declared: people write in ``docker/removals.toml`` what may be
removed and why, as tables ``[[removal]]`` with a ``pattern`` (``fnmatch`` over RECORD paths, relative to
site-packages; ``*`` matches ``/`` too) and a ``why``. The build lists what it removed in
``<prefix>/.removed.json``, an array of RECORD paths. Only a file that is in both may be missing.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import stat
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from paperlora.environment.core import installed
from paperlora.errors import Finding
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from paperlora.environment.core.installed import Distribution

REMOVED = ".removed.json"
DECLARATION = "docker/removals.toml"
_REMEDY = "correct docker/removals.toml and build the image again"
_HASHES = ("sha256", "sha384", "sha512")
# uv hard-links files from its cache, so a change in place is in the cache too.
_CHANGED = "`{python} -m uv cache clean {name}` (uv's cache may share the change), then {again}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One line of a RECORD: ``path`` as written there, ``place`` the file on this machine."""

    owner: str
    path: str
    place: str
    hashed: str
    size: str


def claims(distribution: Distribution) -> list[Claim]:
    """Return the lines of a RECORD; ``OSError`` when it cannot be read, ``ValueError`` when malformed."""
    site = str(distribution.folder.parent)
    listed = []
    with (distribution.folder / "RECORD").open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file, strict=True), start=1):
            if len(row) != 3 or not row[0]:
                raise ValueError(f"line {number} has {len(row)} fields, not 3")
            path, hashed, size = row
            place = os.path.normpath(f"{site}/{path}")
            claim = Claim(owner=distribution.name, path=path, place=place, hashed=hashed, size=size)
            listed.append(claim)
    if not listed:
        raise ValueError("it is empty")
    return listed


def findings(
    sites: Sequence[Path] | None = None,
    *,
    prefix: Path | None = None,
    only: Collection[str] | None = None,
    root: Path = ROOT,
) -> list[Finding]:
    """Return the problems of the files below ``sites`` (by default this interpreter's own).

    A file must not be missing, changed, a link, outside ``prefix``, or listed by two packages or by
    none; modules that Python compiled beside their source are allowed. With ``only``, only the
    files of these packages are examined.
    """
    prefix = prefix or Path(sys.prefix)
    sites = installed.site_folders() if sites is None else sites
    again = f"rm -r {prefix} and install again" if only is None else "start a fresh runtime"
    found, listed = [], []
    for distribution in installed.distributions(sites):
        if only is not None and distribution.name not in only:
            continue
        try:
            listed += claims(distribution)
        except (OSError, ValueError, csv.Error) as error:
            lost = isinstance(error, FileNotFoundError)
            problem = "RECORD is missing" if lost else f"RECORD cannot be read ({error})"
            found.append(Finding(distribution.name, problem, again))
    allowed, undeclared = removed(prefix, root=root)
    found += undeclared
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = pool.map(lambda claim: _problem(claim, str(prefix), allowed), listed)
        for claim, problem in zip(listed, problems, strict=True):
            if problem:
                clean = _CHANGED.format(python=sys.executable, name=claim.owner, again=again)
                remedy = clean if "changed" in problem else again
                found.append(Finding(f"{claim.owner}, {claim.path}", problem, remedy))
    found += _twice(listed, again)
    if only is None:
        found += _unclaimed(sites, {claim.place for claim in listed}, again)
    return sorted(found)


def _problem(claim: Claim, prefix: str, allowed: frozenset[str]) -> str:
    """Return what is wrong with one file, ``""`` if nothing."""
    if not claim.place.startswith(prefix + os.sep):
        return f"RECORD lists a file outside {prefix}"
    try:
        about = os.lstat(claim.place)
    except OSError:
        return "" if claim.path in allowed else "the file is missing"
    if not stat.S_ISREG(about.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(about.st_mode) else "not a regular file"
        return f"{kind}, where the wheel has a file"
    if not claim.hashed:
        # RECORD cannot hold its own hash; modules are compiled after the wheel was made.
        bare = claim.path.endswith((".dist-info/RECORD", ".pyc"))
        return "" if bare else "RECORD has no hash for it"
    return _changed(claim, about.st_size)


def _changed(claim: Claim, size: int) -> str:
    name, _, digest = claim.hashed.partition("=")
    if name not in _HASHES:
        return f"RECORD has a {name} hash, not one of {', '.join(_HASHES)}"
    if claim.size and claim.size != str(size):
        return f"the file was changed: {size} bytes, RECORD has {claim.size}"
    try:
        with open(claim.place, "rb") as file:  # noqa: PTH123 - 20,000 files: a Path costs more
            seen = hashlib.file_digest(file, name).digest()
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    same = base64.urlsafe_b64encode(seen).rstrip(b"=").decode() == digest.rstrip("=")
    return "" if same else f"the file was changed: its {name} is not the one in RECORD"


def _twice(listed: Iterable[Claim], again: str) -> Iterator[Finding]:
    """Yield each file that two packages list; an empty one (NVIDIA's packages share some) is harmless."""
    owners: dict[str, list[str]] = {}
    for claim in listed:
        if claim.size != "0":
            owners.setdefault(claim.place, []).append(claim.owner)
    for place, names in owners.items():
        if len(names) > 1:
            problem = f"listed by more than one package: {' and '.join(names)}"
            yield Finding(place, problem, again)


def _unclaimed(sites: Iterable[Path], claimed: set[str], again: str) -> Iterator[Finding]:
    """Yield each file and link of a site folder that no RECORD lists."""
    waiting = [str(site) for site in sites]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue  # sys.path may name a folder that does not exist
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif entry.path not in claimed and not _compiled(entry.path):
                kind = "a symbolic link" if entry.is_symlink() else "a file"
                problem = f"{kind} that no package lists"
                yield Finding(entry.path, problem, again)


def _compiled(path: str) -> bool:
    """Return whether Python (or pytest, with a tag of its own) compiled this from an existing module."""
    module = re.fullmatch(r"(.+)/__pycache__/([^/.]+)\.[^/]+\.pyc", path)
    return module is not None and Path(module[1], module[2] + ".py").is_file()


def patterns(*, root: Path = ROOT) -> list[str]:
    """Return the declared patterns; ``ValueError`` or ``KeyError`` when the declaration is damaged."""
    path = root / DECLARATION
    if not path.exists():
        return []
    return [row["pattern"] for row in tomllib.loads(path.read_text(encoding="utf-8"))["removal"]]


def removed(prefix: Path, *, root: Path = ROOT) -> tuple[frozenset[str], list[Finding]]:
    """Return the RECORD paths that the build of ``prefix`` removed as declared, and other problems."""
    if not (prefix / REMOVED).exists():
        return frozenset(), []
    reading = REMOVED
    try:
        listed = json.loads((prefix / REMOVED).read_text(encoding="utf-8"))
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise TypeError("not an array of paths")  # noqa: TRY301 - one message for all
        reading = DECLARATION
        allowed = patterns(root=root)
    except (OSError, ValueError, TypeError, KeyError) as error:
        return frozenset(), [Finding(reading, f"cannot be read ({error})", _REMEDY)]
    good = {one for one in listed if any(fnmatchcase(one, pattern) for pattern in allowed)}
    problem = f"was removed, but {DECLARATION} does not declare that"
    return frozenset(good), [Finding(one, problem, _REMEDY) for one in sorted(set(listed) - good)]
