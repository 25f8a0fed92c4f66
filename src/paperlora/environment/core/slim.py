"""Remove declared files from installed packages, as an image build does.

Only files that a RECORD lists are removed, so every removal has a name; see ``removals`` for the
declaration and for the list that ``verify`` reads.
"""

from __future__ import annotations

import fnmatch
from pathlib import Path

from paperlora.environment.core import installed, intact, removals
from paperlora.files import ROOT, read_json, write_json


def slim(prefix: Path, sites: list[Path], *, root: Path = ROOT) -> tuple[int, int]:
    """Remove the declared files from the packages in ``sites``; return their number and bytes.

    Adds their RECORD paths to the list in ``prefix``.
    """
    patterns = removals.patterns(root=root)
    known = prefix / removals.LIST
    removed = set(read_json(known)) if known.exists() else set()
    size, before = 0, len(removed)
    for distribution in installed.distributions(sites):
        for claim in intact.claims(distribution):
            place = Path(claim.place)
            if any(fnmatch.fnmatchcase(claim.path, one) for one in patterns) and place.is_file():
                size += place.stat().st_size
                place.unlink()
                removed.add(claim.path)
                _remove_empty(place.parent, sites)
    write_json(known, sorted(removed))
    return len(removed) - before, size


def _remove_empty(folder: Path, sites: list[Path]) -> None:
    while folder not in sites and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
