"""Skip what is done: remember what a command read and wrote, and say what has changed since.

``inputs`` lists the files that each command reads, ``chain`` the settings.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paperlora.errors import DataError
from paperlora.files import read_json, sha256_file, sha256_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PACKAGE = Path(__file__).parents[1]
# Every command uses these.
_SHARED = ("errors.py", "files.py", "process.py", "pipeline/text.py")
_ABSENT = object()
_FOLDERS = ("corpus.papers", "model.id")
_PHRASES = {
    "code": "the code of {command}",
    "papers": "the papers",
    "list": "the list of papers",
    "documents": "the text of the papers",
    "data": "the examples",
    "model": "the base model",
    "adapter": "the adapter",
    "place": "the name of the run",
    "results": "the results",
}
"""How the inputs of a command are named to a person."""


@cache
def code(*folders: str) -> str:
    """Return the SHA-256 over all files in the named folders of the pipeline and in what all share.

    A command runs again when a file in one of its folders has changed.
    """
    files = [_PACKAGE / name for name in _SHARED]
    for folder in folders:
        files += sorted((_PACKAGE / "pipeline" / folder).rglob("*"))
    return sha256_json(
        {
            str(path.relative_to(_PACKAGE)): sha256_file(path)
            for path in files
            if path.is_file() and path.suffix != ".pyc"
        }
    )


def _path(run: Path, command: str) -> Path:
    return run / ".stamps" / f"{command}.json"


def changes(run: Path, command: str, inputs: Mapping[str, Any]) -> list[str] | None:
    """Return what differs between ``inputs`` and those of the last complete run of ``command``.

    Each difference is one phrase: ``train.max_steps 40 → 200``, ``the code of train``. The list is
    empty when nothing differs. Returns None when the command never ran to its end.
    """
    try:
        before = read_json(_path(run, command))["inputs"]
        now = json.loads(json.dumps(inputs))  # as the stamp holds it: a tuple is a list there
        return list(_differences(before, now, command))
    except (DataError, KeyError, TypeError, AttributeError):  # none, or of another version
        return None


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], command: str) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, {}), now.get(name, {})
        if old == new or new is None:  # what cannot be read now is not known to have changed
            continue
        if name != "settings":
            yield _PHRASES.get(name, name).format(command=command)
            continue
        for section in sorted(old.keys() | new.keys()):
            one, other = old.get(section, {}), new.get(section, {})
            for key in sorted(one.keys() | other.keys()):
                was, is_now = one.get(key, _ABSENT), other.get(key, _ABSENT)
                if was != is_now:
                    path = f"{section}.{key}" in _FOLDERS
                    yield f"{section}.{key} {_shown(was, path=path)} → {_shown(is_now, path=path)}"


def _shown(value: object, *, path: bool) -> str:
    """Return a value as a note shows it; of a folder its last name, since a report has the note."""
    text = "unset" if value is _ABSENT else str(value)
    return Path(text).name if path else text


def lost(run: Path, command: str) -> list[str] | None:
    """Return the outputs of ``command`` that are missing or not as it wrote them.

    Returns None when the command never ran to its end.
    """
    try:
        outputs = read_json(_path(run, command))["outputs"].items()
    except (DataError, KeyError, TypeError, AttributeError):
        return None
    return [
        name
        for name, digest in outputs
        if not (run / name).is_file() or sha256_file(run / name) != digest
    ]


def write(run: Path, command: str, inputs: Mapping[str, Any], outputs: Iterable[Path]) -> None:
    """Record that ``command`` read ``inputs`` and wrote ``outputs`` (files or folders in ``run``)."""
    files = sorted(
        file for path in outputs for file in (path.rglob("*") if path.is_dir() else [path])
    )
    digests = {str(f.relative_to(run)): sha256_file(f) for f in files if f.is_file()}
    write_json(_path(run, command), {"inputs": inputs, "outputs": digests})


def reopen(run: Path, command: str) -> None:
    """Make ``command`` run again, and keep what its last complete run read."""
    path = _path(run, command)
    try:
        inputs = read_json(path)["inputs"]
    except (DataError, KeyError, TypeError):  # none, or damaged
        path.unlink(missing_ok=True)
    else:
        write_json(path, {"inputs": inputs})
