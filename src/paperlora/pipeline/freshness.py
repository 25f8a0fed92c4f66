"""Skip what is already done: a stamp holds the digest of a command's inputs and of its outputs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from paperlora.errors import DataError
from paperlora.files import read_json, sha256_file, sha256_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

_PACKAGE = Path(__file__).parents[1]
# Every command starts from these.
_EVERYWHERE = ("errors.py", "files.py", "process.py", "pipeline/text.py")


@cache
def code(*folders: str) -> str:
    """Return the digest of all files in the named folders of the pipeline, and of what all share.

    A command is done again when a file in one of its folders has changed.
    """
    files = [_PACKAGE / name for name in _EVERYWHERE]
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


def fresh(run: Path, command: str, inputs: object) -> bool:
    """Say whether ``command`` ran to its end on these inputs and its outputs are still as it left them."""
    try:
        stamp = read_json(_path(run, command))
    except DataError:
        return False
    return bool(
        stamp["inputs"] == sha256_json(inputs)
        and all(
            (run / name).is_file() and sha256_file(run / name) == digest
            for name, digest in stamp["outputs"].items()
        )
    )


def write(run: Path, command: str, inputs: object, outputs: Iterable[Path]) -> None:
    """Record that ``command`` ran on ``inputs`` and left ``outputs`` (files or folders in ``run``)."""
    files = sorted(
        file for path in outputs for file in (path.rglob("*") if path.is_dir() else [path])
    )
    write_json(
        _path(run, command),
        {
            "inputs": sha256_json(inputs),
            "outputs": {
                str(file.relative_to(run)): sha256_file(file) for file in files if file.is_file()
            },
        },
    )


def clear(run: Path, command: str) -> None:
    """Forget that ``command`` ever ran."""
    _path(run, command).unlink(missing_ok=True)
