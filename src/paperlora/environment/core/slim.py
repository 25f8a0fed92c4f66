"""Slimming: takes declared files out of installed packages, and proves what is left.

``python -m paperlora.environment.core.slim slim|prove`` runs inside the environment that an image
is built of. Only files that a RECORD lists are touched, so every removal is known by name; see
``removals`` for the declaration and the list.
"""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path

from paperlora.environment.core import installed, intact, removals, verify
from paperlora.environment.core import lock as locks
from paperlora.environment.core.terminal import human
from paperlora.errors import EnvironmentNotVerifiedError, PaperloraError
from paperlora.files import ROOT, read_json, write_json


def slim(prefix: Path, sites: list[Path], *, root: Path = ROOT) -> tuple[int, int]:
    """Remove what is declared from the packages in ``sites``; return how many files and bytes.

    The RECORD paths are added to the list in ``prefix``.
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
                _without_empty(place.parent, sites)
    write_json(known, sorted(removed))
    return len(removed) - before, size


def _without_empty(folder: Path, sites: list[Path]) -> None:
    while folder not in sites and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def prove(target: str) -> None:
    """Raise ``EnvironmentNotVerifiedError`` unless this interpreter is its lock, file by file.

    Its packages must also be the ones that ``parity`` shows for host and image.
    """
    from paperlora.environment.colab import parity  # noqa: PLC0415 - needs packages, slim must not

    verify.run(target, files=True)
    lock = locks.load(parity.HOST)
    shown = {n: one.version for n, (_, one) in lock.packages(verify.python()).items()}
    held = {one.name: one.version for one in installed.distributions()}
    if shown != held:
        other = sorted(dict(shown.items() ^ held.items()))
        raise EnvironmentNotVerifiedError(
            f"the image is not parity's column for host and image: {', '.join(other)}",
            remedy="build it again from the lock",
        )


def main(arguments: list[str]) -> int:
    """Answer one question and return its exit code."""
    try:
        if arguments == ["slim"]:
            count, size = slim(Path(sys.prefix), installed.site_folders())
            (Path(sys.prefix) / ".lock").unlink(missing_ok=True)  # uv's: anybody may write to it
            print(f"removed {count} declared files, {human(size)}", file=sys.stderr)
        elif arguments == ["prove"]:
            prove(verify.own_target())
        else:
            print("usage: python -m paperlora.environment.core.slim slim|prove", file=sys.stderr)
            return 2
    except PaperloraError as error:
        print(error, file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
