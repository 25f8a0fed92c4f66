"""Copies and downloads papers into a folder, one after the other, and reports each failure.

A paper that is in the folder already is not fetched again. A paper that fails does not stop the
others.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from paperlora.errors import DataError, NetworkError, PaperloraError
from paperlora.files import atomic, sha256_file
from paperlora.pipeline.fetch import lookup, pace, web
from paperlora.pipeline.fetch.download import Download, download, is_pdf
from paperlora.pipeline.fetch.pace import Pace
from paperlora.pipeline.fetch.progress import TYPICAL, Progress, log
from paperlora.pipeline.fetch.web import (
    ClosedError,
    ExhaustedError,
    LongWaitError,
    open_session,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import requests

    from paperlora.pipeline.fetch.paper_list import Paper


@dataclass(frozen=True, kw_only=True)
class FetchResult:
    """What a call did, by the names of the papers."""

    fetched: frozenset[str]
    """The papers that this call downloaded or copied."""
    hashes: Mapping[str, str]
    """The SHA-256 of each PDF of the list that is in the folder now."""
    failures: Mapping[str, PaperloraError]

    def check(self) -> None:
        """Raise the failures: ``DataError`` if all of them are about data, else ``NetworkError``."""
        if not self.failures:
            return
        data = all(isinstance(error, DataError) for error in self.failures.values())
        lines = [f"\n  {name}: {error}" for name, error in self.failures.items()]
        papers = "1 paper was" if len(lines) == 1 else f"{len(lines)} papers were"
        raise (DataError if data else NetworkError)(f"{papers} not fetched:{''.join(lines)}")


def fetch(
    papers: Iterable[Paper],
    to: Path,
    *,
    files: Mapping[str, Path] | None = None,
    keep: Callable[[Mapping[str, Paper]], None] = lambda _: None,
) -> FetchResult:
    """Copy or download each paper that is not in the folder ``to`` yet; it exists and is locked.

    ``files`` has the PDFs to copy, by name. ``keep`` is called before the first download with the
    entries whose title was looked up. The result's ``check`` raises what failed.
    """
    known = {paper.name: paper for paper in papers}
    copies = files or {}
    present: dict[str, str] = {}
    failures: dict[str, PaperloraError] = {}
    for paper in known.values():
        try:
            if digest := _present(paper, to, copies.get(paper.name)):
                present[paper.name] = digest
        except DataError as error:
            failures[paper.name] = error
    copied: dict[str, str] = {}
    for name, original in copies.items():
        if name in present or name in failures:
            continue
        try:
            copied[name] = _copy(original, to / f"{name}.pdf")
        except DataError as error:
            failures[name] = error
    rhythm = Pace()
    with open_session(rhythm) as session:
        absent = [paper for paper in known.values() if paper.file is None]
        lookups = _look_up(absent, set(present), session, rhythm)
        keep(lookups.papers)
        jobs = {
            name: Download(
                url=url,
                to=to / known[name].file_name,
                session=session,
                pace=rhythm,
                sha256=known[name].sha256,
            )
            for name, url in lookups.urls.items()
            if name not in present
        }
        if jobs:
            log(f"papers to fetch: {len(jobs)}, about {len(jobs) * TYPICAL / 1e6:,.1f} MB")
        with Progress(jobs) as progress:
            downloaded, failed = _download_each(jobs, progress)
    return FetchResult(
        fetched=frozenset(copied | downloaded),
        hashes=present | copied | downloaded,
        failures=failures | lookups.failures | failed,
    )


def _present(paper: Paper, to: Path, original: Path | None) -> str | None:
    """Return the hash of the paper's PDF if the folder has it, and it is the right one.

    Raises ``DataError`` when a copy would replace another file.
    """
    path = to / f"{paper.name}.pdf"
    if not path.is_file() or (paper.file is not None and original is None):
        return None
    digest = sha256_file(path)
    if original is not None:
        if original.is_file() and digest == sha256_file(original):
            return digest
        raise DataError(
            f"{path} is there, but differs from {original}",
            remedy="move it away, or use another folder with --to",
        )
    if digest == paper.sha256 or (paper.sha256 is None and is_pdf(path)):
        return digest
    log(f"{path} is not the PDF in the list: downloading that one")
    return None


def _copy(original: Path, path: Path) -> str:
    """Copy a PDF and return its hash. Raises ``DataError``."""
    try:
        if not is_pdf(original):
            raise DataError(f"{original} is not a PDF", remedy="remove it from the list or folder")
        with original.open("rb") as source, atomic(path) as target:
            shutil.copyfileobj(source, target)
        return sha256_file(path)
    except OSError as error:
        raise DataError(
            f"cannot copy {original} to {path}: {error.strerror}",
            remedy="check that both folders can be used and have space",
        ) from None


@dataclass(frozen=True, kw_only=True)
class _Lookups:
    """What was looked up, by the names of the papers."""

    papers: dict[str, Paper]
    """The entries whose title was looked up."""
    urls: dict[str, str]
    """Where the PDFs are."""
    failures: dict[str, PaperloraError]


def _look_up(
    papers: Iterable[Paper], present: set[str], session: requests.Session, rhythm: Pace
) -> _Lookups:
    """Look up the titles and addresses that the list does not have."""
    described: dict[str, Paper] = {}
    urls: dict[str, str] = {}
    failures: dict[str, PaperloraError] = {}
    papers = list(papers)
    entries = _arxiv_entries(papers, session, rhythm)
    attempts, closed = web.ATTEMPTS, None
    for paper in papers:
        found = None
        try:
            if paper.arxiv and not paper.title and entries is not None:
                found = _known(entries.get(paper.arxiv), paper.arxiv)
            elif paper.doi and not (paper.title and paper.name in present):
                if closed:
                    raise ExhaustedError(f"not looked up, because {closed}")
                found = lookup.doi(paper.doi, session, rhythm, attempts=attempts)
                attempts = web.ATTEMPTS
        except (NetworkError, DataError) as error:
            failures[paper.name] = error
            closed = error if isinstance(error, ClosedError) else closed
            attempts = 1 if isinstance(error, ExhaustedError) else attempts
            continue
        one = _described(paper, found) if found else paper
        if found:
            described[paper.name] = one
        url = f"{pace.ARXIV}/{one.arxiv}" if one.arxiv else one.url or (found and found.url)
        if url:
            urls[paper.name] = url
        elif paper.name not in present:
            failures[paper.name] = DataError(
                f"the registrar of the DOI {paper.doi} has no address of a PDF",
                remedy="download it with a browser, and list the folder of such PDFs",
            )
    return _Lookups(papers=described, urls=urls, failures=failures)


def _arxiv_entries(
    papers: Iterable[Paper], session: requests.Session, rhythm: Pace
) -> Mapping[str, lookup.Found] | None:
    """Return what arXiv has about the papers without a title; None when it does not answer."""
    ids = [paper.arxiv for paper in papers if paper.arxiv and not paper.title]
    try:
        return lookup.arxiv(ids, session, rhythm)
    except (NetworkError, DataError) as error:
        log(f"no titles from arXiv, the next fetch tries again: {error}")
        return None


def _known(found: lookup.Found | None, identifier: str) -> lookup.Found:
    if found is None:
        raise DataError(f"arXiv has no paper {identifier}", remedy="correct the identifier")
    return found


def _described(paper: Paper, found: lookup.Found) -> Paper:
    """Return the entry with what was looked up where it has nothing itself."""
    return replace(
        paper,
        title=paper.title or found.title,
        authors=paper.authors or found.authors,
        year=paper.year or found.year,
        licence=paper.licence or found.licence,
        arxiv=found.arxiv or paper.arxiv,
    )


def _download_each(
    jobs: Mapping[str, Download], progress: Progress
) -> tuple[dict[str, str], dict[str, PaperloraError]]:
    """Return the hashes of the downloaded papers and the errors of the others, by name.

    After all attempts at one paper failed, the next papers of that host get one attempt each: on a
    machine without a network the command should not take minutes to fail. While others succeed,
    those papers get their attempts after all.
    """
    hashes: dict[str, str] = {}
    failures: dict[str, PaperloraError] = {}
    closed: dict[str | None, ClosedError] = {}
    todo = jobs
    while todo:
        before, shortened, troubled = len(hashes), {}, set[str | None]()
        for name, job in todo.items():
            host = urlsplit(job.url).hostname
            attempts = 1 if host in troubled else web.ATTEMPTS
            now = replace(job, attempts=attempts, progress=progress.of(name))
            try:
                if host in closed:
                    raise ExhaustedError(f"not requested, because {closed[host]}")
                hashes[name] = download(now)
                failures.pop(name, None)
                troubled.discard(host)
            except (NetworkError, DataError) as error:
                failures[name] = error
                progress.drop(name)
                if isinstance(error, ClosedError):
                    closed[host] = error
                elif isinstance(error, ExhaustedError) and host not in closed:
                    if attempts == 1 and not isinstance(error, LongWaitError):
                        shortened[name] = job
                    troubled.add(host)
        todo = shortened if len(hashes) > before else {}
    return hashes, failures
