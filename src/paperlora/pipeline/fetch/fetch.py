"""The ``fetch`` command: brings the papers of a list into a folder, and keeps the folder's own list.

The folder's list has the entries of every list that was fetched into it. The next call resumes what
broke off.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from paperlora.errors import DataError, InputError
from paperlora.pipeline.fetch import lookup, paper_list, sources, transfer
from paperlora.pipeline.fetch.progress import log
from paperlora.pipeline.fetch.web import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from paperlora.pipeline.fetch.paper_list import Paper
    from paperlora.pipeline.fetch.transfer import FetchResult


def run(source: str | Path, to: Path, *, record: bool = False) -> FetchResult:
    """Bring the papers of the list to the folder ``to``; print a line for each that is there.

    ``source`` is a list, a bibliography, a folder, or the name of a list that ships.
    The folder's own list, where `parse` finds titles, fields and hashes, gets the entries of this
    list in addition to those that it has. With ``record``, new hashes are written into both lists:
    this trusts the first download, and every later copy has to be the same.
    Raises ``InputError``, ``NetworkError`` or ``DataError``.
    """
    listed = sources.read(str(source))
    if any(path.resolve().is_relative_to(to.resolve()) for path in listed.files.values()):
        raise InputError(
            f"{source} is the folder of papers itself, or has it inside: {to}",
            remedy="use another folder with --to, or give it to a run with --papers",
        )
    notes = [f"{paper.name}: {paper.note}" for paper in listed.papers if paper.note]
    for remark in (*listed.remarks, *notes):
        log(f"{listed.path}: {remark}")
    with _locked(to):
        own = to / paper_list.LIST_NAME
        held = {p.name: p for p in paper_list.read(own)} if own.is_file() else {}
        wanted = {p.name: _merged(p, held.get(p.name), listed.path, own) for p in listed.papers}

        def keep(papers: Mapping[str, Paper]) -> None:
            held.update(papers)
            paper_list.write(own, list(held.values()))

        keep(wanted)  # now: an interruption keeps the titles too
        result = transfer.fetch(wanted.values(), to, files=listed.files, keep=keep)
        if record:
            paper_list.write(own, _with_hashes(held.values(), result.hashes))
    for name, digest in result.hashes.items():
        print(digest, f"{to / name}.pdf", "fetched" if name in result.fetched else "present")
    _note_unknown(listed, result, record=record)
    result = replace(result, failures={**listed.failures, **result.failures})
    result.check()
    return result


def _note_unknown(listed: sources.Listed, result: FetchResult, *, record: bool) -> None:
    """Print which papers have no hash in the list, or write the hashes into it."""
    unknown = [p.name for p in listed.papers if p.sha256 is None and p.name in result.hashes]
    if not unknown or not listed.recordable:
        return
    if record:
        paper_list.write(listed.path, _with_hashes(listed.papers, result.hashes))
        log(f"wrote the hashes of {', '.join(unknown)} into {listed.path}")
    else:
        log(f"{listed.path} has no hash of {', '.join(unknown)} → add them with --record")


def _merged(paper: Paper, held: Paper | None, list_path: Path, own: Path) -> Paper:
    """Return the entry for the folder's list: the newer one, with what only the older one has.

    Raises ``InputError`` when the two have different sources: one file cannot hold both papers.
    """
    if held is None:
        return paper
    # An identifier without a version stands for the version that the folder has.
    arxiv = held.arxiv if paper.arxiv == lookup.base(held.arxiv or "") else paper.arxiv
    if replace(paper, arxiv=arxiv).source != held.source:
        raise InputError(
            f"{paper.name!r} comes from {_source(paper)} in {list_path}, but from {_source(held)} in "
            f"{own}",
            remedy="rename one of them, or use another folder with --to",
        )
    return replace(
        paper,
        arxiv=arxiv,
        title=paper.title or held.title,
        field=paper.field or held.field,
        authors=paper.authors or held.authors,
        year=paper.year or held.year,
        licence=paper.licence or held.licence,
        sha256=paper.sha256 or held.sha256,
    )


def _source(paper: Paper) -> str:
    """Return the source as it may be printed: a query is replaced by "…"."""
    key, value = paper.source
    return (
        f"{key} {shown(value)}{'?…' if '?' in value else ''}" if key == "url" else f"{key} {value}"
    )


def _with_hashes(papers: Iterable[Paper], hashes: Mapping[str, str]) -> list[Paper]:
    return [replace(paper, sha256=paper.sha256 or hashes.get(paper.name)) for paper in papers]


@contextmanager
def _locked(to: Path) -> Iterator[None]:
    """Create the folder and lock it, so that two commands never write the same file."""
    try:
        to.mkdir(parents=True, exist_ok=True)
        handle = os.open(to, os.O_RDONLY)
    except OSError as error:
        raise InputError(
            f"cannot use the folder {to}: {error.strerror}", remedy="use another with --to"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise DataError(
            f"another fetch is writing to {to}", remedy="wait for it, or use another with --to"
        ) from None
    except OSError:
        pass  # some network file systems cannot lock a folder; then nothing protects it
    try:
        yield
    finally:
        os.close(handle)
