"""Skip what is already done: a stamp holds the digest of a command's inputs and of its outputs."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from paperlora.errors import DataError
from paperlora.files import read_json, sha256_file, sha256_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

_PACKAGE = Path(__file__).parent
_NAMED = re.compile(r"paperlora\.pipeline\.(\w+)")
_TEMPLATE = re.compile(r'"(\w+\.(?:html|md))"')
_IMPORTED = re.compile(r"from paperlora\.pipeline import (\([^)]*\)|[^\n#]*)")
# What it holds reaches a command as values, which are inputs of their own.
_APART = {"config"}


@cache
def code(module: str) -> str:
    """Return the digest of a module of the pipeline and of all it uses there, by import or by name.

    A command is done again when its code has changed, and only then.
    """
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _PACKAGE / f"{name}.py"
        for part in sorted((_PACKAGE / name).rglob("*.py")):  # a package counts as a whole
            found[str(part.relative_to(_PACKAGE))] = sha256_file(part)
        if name in found or name in _APART or not path.is_file():
            continue
        found[name] = sha256_file(path)
        source = path.read_text(encoding="utf-8")
        for template in _TEMPLATE.findall(source):
            if (_PACKAGE / template).is_file():
                found[template] = sha256_file(_PACKAGE / template)
        waiting += _NAMED.findall(source)
        waiting += [
            word for names in _IMPORTED.findall(source) for word in re.findall(r"\w+", names)
        ]
    return sha256_json(found)


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
