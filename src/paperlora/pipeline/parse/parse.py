"""Run the ``parse`` command: turn a folder of PDFs into ``documents.jsonl`` and ``parse.json``.

A paper that cannot be used is rejected with a reason; the other papers are parsed all the same.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from paperlora import process
from paperlora.errors import DataError, InputError
from paperlora.files import sha256_file, sha256_json, write_json, write_jsonl
from paperlora.pipeline.parse.document import read_document
from paperlora.pipeline.parse.quality import word_list
from paperlora.pipeline.parse.rejected import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from paperlora.pipeline.config import CorpusConfig

_CHILDREN = 2  # at a time; each of them may use the whole memory limit
_REMEDY = (
    "put PDFs with a text layer into that folder, or download some: `env/nox -s fetch -- --help`"
)


def command(
    papers: Path, run: Path, *, known: Iterable[Mapping[str, Any]], config: CorpusConfig
) -> None:
    """Parse every PDF of the folder ``papers``; write the documents and the summary to ``run``.

    ``known`` is the list of papers: entries with "name" and, where known, "title", "field" and
    "sha256". Equal input gives equal output, byte for byte.

    Raises ``InputError`` for a folder that is missing or has no PDF, ``DataError`` when no paper
    can be used.
    """
    files = list_papers(papers)
    entries = {f"{entry['name']}.pdf": entry for entry in known}
    reasons: dict[str, str] = {}
    digests = _digests(files, entries, reasons)
    word_list()  # once, before several threads need it

    documents: list[dict[str, Any]] = []
    pool = ThreadPoolExecutor(_CHILDREN)
    try:
        jobs = {
            path: pool.submit(
                read_document, path, sha256=digest, entry=entries.get(path.name, {}), config=config
            )
            for path in files
            if path.name not in reasons and (digest := digests.get(path.name))
        }
        for path, job in tqdm(jobs.items(), desc="parse", unit="paper", disable=None):
            try:
                documents.append(job.result())
            except RejectedError as fault:
                _reject(path, str(fault), reasons)
    except KeyboardInterrupt:
        # The threads wait for their children; without this, Ctrl-C would take up to a minute.
        process.kill_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    if not documents:
        some = "; ".join(f"{file}: {reason}" for file, reason in list(reasons.items())[:3])
        message = f"none of the {len(files)} PDFs in {papers} can be used ({some})"
        raise DataError(message, remedy=_REMEDY)
    rejected = [{"file": file, "reason": reason} for file, reason in sorted(reasons.items())]
    write_jsonl(run / "documents.jsonl", documents)
    summary = {"papers_dir_digest": sha256_json(digests), "rejected": rejected}
    write_json(run / "parse.json", summary)
    print(f"parse: {len(documents)} accepted, {len(rejected)} rejected", file=sys.stderr)


def list_papers(papers: Path) -> list[Path]:
    """Return the PDFs of the folder ``papers``, sorted by name without suffix.

    Raises ``InputError`` when the folder does not exist or has no PDF.
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
    """Return file name → SHA-256; reject what is unreadable, a duplicate or not as listed."""
    digests: dict[str, str] = {}
    stems: set[str] = set()
    for path in files:
        if path.name != _writable(path.name):
            _reject(path, "its name is not valid UTF-8", reasons)
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
            reason = f"SHA-256 is {digest[:12]}…, the list of papers has {wanted[:12]}…"
            _reject(path, reason, reasons)
        elif twin:
            _reject(path, f"the same file as {twin}", reasons)
        elif path.stem in stems:  # "a.PDF" beside "a.pdf": the documents need one name each
            _reject(path, f"another file is also named {path.stem}", reasons)
        stems.add(path.stem)
    return digests


def _reject(path: Path, reason: str, reasons: dict[str, str]) -> None:
    """Report that a paper is skipped, and add the reason to ``reasons``."""
    name = _writable(path.name)
    shown = "".join(character if character.isprintable() else "?" for character in name)
    tqdm.write(f"skipped {shown}: {reason}", file=sys.stderr)
    reasons[name] = reason


def _writable(name: str) -> str:
    """Return a file name with ``?`` for each byte that is not valid UTF-8."""
    return name.encode(errors="replace").decode()
