"""Keep what was read of each paper in the run, so that an interrupted `parse` resumes.

Machines that share the folder of a run share these files too: each one reads its part of the papers
(``--shard``), and `parse` without ``--shard`` finds them all.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from paperlora.errors import DataError
from paperlora.files import atomic, sha256_json
from paperlora.pipeline import freshness
from paperlora.pipeline.parse.outcome import Outcome, decode, encode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from paperlora.pipeline.config import CorpusConfig

FOLDER = ".papers"
_NOT_READ = {"papers", "near_duplicates"}  # settings that do not change what a child reads
_DIGEST = hashlib.sha256().digest_size


def key(name: str, sha256: str, entry: dict[str, Any], config: CorpusConfig) -> str:
    """Return a digest of everything that decides what a child makes of a file."""
    settings = config.model_dump(exclude=_NOT_READ)
    return sha256_json([name, sha256, entry, settings, freshness.code("parse")])


def load(run: Path, key: str) -> tuple[Outcome, bytes] | None:
    """Return the outcome and the document's line; None when there are none, or the file is damaged."""
    try:
        data = _path(run, key).read_bytes()
    except FileNotFoundError:
        return None
    digest, answer = data[:_DIGEST], data[_DIGEST:]
    return decode(answer) if hashlib.sha256(answer).digest() == digest else None


def store(run: Path, key: str, outcome: Outcome, document: bytes) -> None:
    """Write what was read of a paper, atomically."""
    parts = encode(outcome), document  # not joined: a document may be large
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with atomic(_path(run, key)) as file:
        file.writelines((digest.digest(), *parts))


def join(run: Path, keys: Iterable[str], target: Path) -> None:
    """Write the documents with these keys to ``target``, one a line, atomically."""
    with atomic(target) as file:
        for one in keys:
            stored = load(run, one)
            if stored is None:
                raise DataError(f"{_path(run, one)} is gone", remedy="run `parse` again")
            file.write(stored[1])


def prune(run: Path, kept: Collection[str]) -> None:
    """Delete everything except the papers with these keys, also what a killed `parse` left."""
    for path in (run / FOLDER).glob("*"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def forget(run: Path, key: str) -> None:
    """Delete what was read of a paper."""
    _path(run, key).unlink(missing_ok=True)


def _path(run: Path, key: str) -> Path:
    return run / FOLDER / key
