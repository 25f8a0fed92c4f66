"""The ``parse`` command: a folder of PDFs becomes ``documents.jsonl`` and ``parse.json``.

A bad paper is rejected with a reason and the others go on.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from paperlora import process
from paperlora.errors import DataError, InputError
from paperlora.files import sha256_file, sha256_json, write_json, write_jsonl
from paperlora.pipeline.parse.document import Limits, RejectedError, read_document
from paperlora.pipeline.parse.quality import word_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from paperlora.pipeline.config import CorpusConfig

Result = TypeVar("Result")
_CHILDREN = 2
_REMEDY = "put PDFs with a text layer into that folder, or fetch some: `paperlora fetch`"


@dataclass(frozen=True, kw_only=True)
class ParseResult:
    """How many papers were ``accepted``, and the ``rejected`` files with their reasons."""

    accepted: int
    rejected: tuple[tuple[str, str], ...]


def command(
    papers: Path, run: Path, *, known: Iterable[Mapping[str, Any]], config: CorpusConfig
) -> ParseResult:
    """Parse the folder ``papers`` into the run directory ``run``; ``known`` is the list of papers."""
    result = parse(
        papers,
        run / "documents.jsonl",
        run / "parse.json",
        known=[{**entry, "file": f"{entry['name']}.pdf"} for entry in known],
        timeout_seconds=config.timeout_seconds,
        memory_bytes=config.memory_mib * 2**20,
    )
    print(f"parse: {result.accepted} accepted, {len(result.rejected)} rejected", file=sys.stderr)
    return result


def parse(
    papers: Path,
    out_documents: Path,
    out_summary: Path,
    *,
    known: Iterable[Mapping[str, Any]] = (),
    timeout_seconds: float = 60,
    memory_bytes: int = 2 * 2**30,
) -> ParseResult:
    """Parse every PDF of the folder ``papers`` and write the documents and the summary.

    ``known`` is the list of papers: entries with "file" and, where known, "title", "field" and
    "sha256". An extraction is stopped after ``timeout_seconds`` of wall time and may use
    ``memory_bytes`` of address space. Equal input gives equal output, byte for byte.

    Raises ``InputError`` for a folder that is missing or has no PDF, ``DataError`` when no paper
    is good.
    """
    files = list_papers(papers)
    entries = {str(entry["file"]): entry for entry in known}
    limits = Limits(seconds=timeout_seconds, memory_bytes=memory_bytes)
    reasons: dict[str, str] = {}
    digests = _digests(files, entries, reasons)
    word_list()  # once, before the threads ask for it

    def read(path: Path) -> dict[str, Any] | RejectedError:
        entry = entries.get(path.name, {})
        try:
            return read_document(path, sha256=digests[path.name], entry=entry, limits=limits)
        except RejectedError as rejected:
            return rejected

    documents: list[dict[str, Any]] = []
    good = [path for path in files if path.name in digests and path.name not in reasons]
    for path, outcome in zip(good, _in_parallel(read, good), strict=True):
        if isinstance(outcome, RejectedError):
            _reject(path, str(outcome), reasons)
        else:
            documents.append(outcome)
    if not documents:
        some = "; ".join(f"{file}: {reason}" for file, reason in list(reasons.items())[:3])
        message = f"none of the {len(files)} PDFs in {papers} is usable ({some})"
        raise DataError(message, remedy=_REMEDY)
    rejected = sorted(reasons.items())
    write_jsonl(out_documents, documents)
    write_json(
        out_summary,
        {
            "papers_dir_digest": sha256_json(digests),
            "rejected": [{"file": file, "reason": reason} for file, reason in rejected],
        },
    )
    return ParseResult(accepted=len(documents), rejected=tuple(rejected))


def list_papers(papers: Path) -> list[Path]:
    """Return the PDFs of the folder ``papers``, sorted by name without suffix.

    Raises ``InputError`` when there is no such folder, or no PDF in it.
    """
    if not papers.is_dir():
        what = "is not a folder" if papers.exists() else "does not exist"
        raise InputError(f"the folder of papers {papers} {what}", remedy=_REMEDY)
    files = [path for path in papers.iterdir() if path.suffix.lower() == ".pdf"]
    if not files:
        raise InputError(f"no *.pdf in the folder of papers {papers}", remedy=_REMEDY)
    return sorted(files, key=lambda path: (path.stem, path.name))


def _digests(
    files: Iterable[Path], entries: Mapping[str, Mapping[str, Any]], reasons: dict[str, str]
) -> dict[str, str]:
    """Hash the files; reject what cannot be read, is there twice or is not what the list says."""
    digests: dict[str, str] = {}
    stems: set[str] = set()
    for path in files:
        if path.name != _writable(path.name):
            _reject(path, "its name is no valid UTF-8", reasons)
            continue
        try:
            digest = sha256_file(path)
        except OSError as error:
            _reject(path, f"cannot be read: {error.strerror}", reasons)
            continue
        twin = next((name for name, other in digests.items() if other == digest), None)
        digests[path.name] = digest
        wanted = entries.get(path.name, {}).get("sha256")
        if wanted and wanted != digest:
            _reject(
                path, f"SHA-256 is {digest[:12]}…, the list of papers has {wanted[:12]}…", reasons
            )
        elif twin:
            _reject(path, f"the same file as {twin}", reasons)
        elif path.stem in stems:
            _reject(path, f"another file is named {path.stem} too", reasons)
        stems.add(path.stem)
    return digests


def _reject(path: Path, reason: str, reasons: dict[str, str]) -> None:
    name = _writable(path.name)
    shown = "".join(character if character.isprintable() else "?" for character in name)
    tqdm.write(f"skipped {shown}: {reason}", file=sys.stderr)
    reasons[name] = reason


def _writable(name: str) -> str:
    """Return a file's name with what no file can hold, the bytes that are no UTF-8, as ``?``."""
    return name.encode(errors="replace").decode()


def _in_parallel(read: Callable[[Path], Result], files: list[Path]) -> Iterator[Result]:
    """Yield ``read(path)`` of each file in order, two at a time, behind a progress bar."""
    pool = ThreadPoolExecutor(_CHILDREN)
    try:
        results = pool.map(read, files)
        yield from tqdm(results, desc="parse", total=len(files), unit="paper", disable=None)
    except BaseException:
        # Ctrl-C: the threads wait for children, so end those, or this would go on for a minute.
        pool.shutdown(wait=False, cancel_futures=True)
        process.kill_all()
        raise
    finally:
        pool.shutdown()
