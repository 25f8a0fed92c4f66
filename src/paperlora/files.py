"""Write files whole or not at all, read JSON back, and compute SHA-256 digests."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from paperlora.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
"""The checkout (or, in an image, the folder that holds ``src``, ``env`` and ``lockfiles``)."""

# Python keeps the bytes of a file name that are not UTF-8 as lone surrogates (PEP 383). UTF-8 cannot
# hold these, but JSON can, as "\udcff": so one such name in a folder stops nothing.
_SURROGATES = "backslashreplace"


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Yield a binary file that replaces ``path`` when the block succeeds; on an error, delete it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(temporary).chmod(0o644)  # mkstemp gives 0600
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # the error of a full disk does not name the file
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically."""
    with atomic(path) as file:
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        file.write(text.encode(errors=_SURROGATES))


def write_jsonl(path: Path, rows: Iterable[object]) -> None:
    """Write one JSON object per line, atomically."""
    with atomic(path) as file:
        file.writelines(map(json_line, rows))


def json_line(value: object) -> bytes:
    """Return ``value`` as one line of a JSON Lines file, with sorted keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n"
    return text.encode(errors=_SURROGATES)


def read_json(path: Path) -> Any:  # noqa: ANN401 - each caller expects its own shape
    """Return the value in a JSON file; ``DataError`` when the file is missing or damaged."""
    with _errors_named(path):
        return json.loads(path.read_text(encoding="utf-8"))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON Lines file; ``DataError`` when the file is missing or damaged."""
    with _errors_named(path), path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path} is missing", remedy="run the command that writes it") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}", remedy="delete it and run again") from None


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: object) -> str:
    """Return the SHA-256 of ``value`` as canonical JSON, in hex."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors=_SURROGATES)).hexdigest()
