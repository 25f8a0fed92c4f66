"""The files that an image build removed from installed packages, and those that it may remove.

People declare in ``docker/removals.toml`` what may be removed and why: tables ``[[removal]]`` with
a ``pattern`` (``fnmatch`` over RECORD paths, relative to site-packages; ``*`` matches ``/`` too) and
a ``why``. The build lists what it removed in ``<prefix>/.removed.json``, an array of RECORD paths.
Only a file that is in both may be missing.
"""

from __future__ import annotations

import fnmatch
import json
import tomllib
from typing import TYPE_CHECKING

from paperlora.environment.core.finding import Finding
from paperlora.files import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LIST = ".removed.json"
DECLARATION = "docker/removals.toml"
_REMEDY = "correct docker/removals.toml and build the image again"


def patterns(*, root: Path = ROOT) -> list[str]:
    """Return the declared patterns; ``ValueError`` or ``KeyError`` when the declaration is damaged."""
    path = root / DECLARATION
    if not path.exists():
        return []
    return [row["pattern"] for row in tomllib.loads(path.read_text(encoding="utf-8"))["removal"]]


def declared(prefix: Path, *, root: Path = ROOT) -> tuple[frozenset[str], list[Finding]]:
    """Return the RECORD paths that the build of ``prefix`` removed as declared, and other problems."""
    if not (prefix / LIST).exists():
        return frozenset(), []
    reading = LIST
    try:
        listed = json.loads((prefix / LIST).read_text(encoding="utf-8"))
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise TypeError("not an array of paths")  # noqa: TRY301 - one message for all
        reading = DECLARATION
        allowed = patterns(root=root)
    except (OSError, ValueError, TypeError, KeyError) as error:
        return frozenset(), [Finding(reading, f"cannot be read ({error})", _REMEDY)]
    good = {one for one in listed if any(fnmatch.fnmatchcase(one, pattern) for pattern in allowed)}
    problem = f"was removed, but {DECLARATION} does not declare that"
    return frozenset(good), [Finding(one, problem, _REMEDY) for one in sorted(set(listed) - good)]
