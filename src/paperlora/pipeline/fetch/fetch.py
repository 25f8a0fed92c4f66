"""The ``fetch`` command: downloads the papers of a list to a folder, one request at a time.

A paper that is in the folder already is not downloaded again. A paper that fails does not stop the
others; all failures are reported at the end. The next call resumes a download that broke off.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm

from paperlora.errors import DataError, InputError, NetworkError, PaperloraError
from paperlora.files import sha256_file
from paperlora.pipeline.fetch import paper_list
from paperlora.pipeline.fetch.download import TIMEOUT, Download, download, is_pdf, log
from paperlora.pipeline.fetch.web import ExhaustedError, length, open_session, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from paperlora.pipeline.fetch.paper_list import Paper

ARXIV = "https://arxiv.org/pdf"
ARXIV_PAUSE = 3.0
"""Seconds between requests to arXiv: https://info.arxiv.org/help/api/tou.html asks for them."""
TYPICAL = 2_500_000
"""Bytes of a paper of unknown size, for the estimate only."""


@dataclass(frozen=True, kw_only=True)
class FetchResult:
    """What a call did, by the names of the papers."""

    fetched: frozenset[str]
    """The papers that this call downloaded."""
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


def run(list_path: Path, to: Path, *, record: bool = False) -> FetchResult:
    """Download the papers of the list to the folder ``to``; print a line for each that is there.

    The folder's own list, where `parse` finds titles, fields and hashes, gets the entries of this
    list in addition to those that it has. With ``record``, new hashes are written into both lists:
    this trusts the first download, and every later copy has to be the same.
    Raises ``InputError``, ``NetworkError`` or ``DataError``.
    """
    listed = paper_list.read(list_path)
    with _locked(to):
        own = to / paper_list.LIST_NAME
        held = {p.name: p for p in paper_list.read(own)} if own.is_file() else {}
        wanted = {p.name: _merged(p, held.get(p.name), list_path, own) for p in listed}
        held |= wanted
        paper_list.write(own, list(held.values()))  # now: an interruption keeps the titles too
        result = fetch(list(wanted.values()), to)
        if record:
            paper_list.write(own, _with_hashes(held.values(), result.hashes))
    for name, digest in result.hashes.items():
        print(digest, f"{to / name}.pdf", "fetched" if name in result.fetched else "present")
    unknown = [p.name for p in listed if p.sha256 is None and p.name in result.hashes]
    if unknown and record:
        paper_list.write(list_path, _with_hashes(listed, result.hashes))
        log(f"wrote the hashes of {', '.join(unknown)} into {list_path}")
    elif unknown:
        log(f"{list_path} has no hash of {', '.join(unknown)} → add them with --record")
    result.check()
    return result


def _merged(paper: Paper, held: Paper | None, list_path: Path, own: Path) -> Paper:
    """Return the entry for the folder's list: the newer one, with the older hash if it has none.

    Raises ``InputError`` when the two have different sources: one file cannot hold both papers.
    """
    if held is None:
        return paper
    if paper.source != held.source:
        raise InputError(
            f"{paper.name!r} comes from {_source(paper)} in {list_path}, but from {_source(held)} in "
            f"{own}",
            remedy="rename one of them, or use another folder with --to",
        )
    return replace(paper, sha256=paper.sha256 or held.sha256)


def _source(paper: Paper) -> str:
    """Return the source as it may be printed: a query is replaced by "…"."""
    key, value = paper.source
    return (
        f"{key} {shown(value)}{'?…' if '?' in value else ''}" if key == "url" else f"{key} {value}"
    )


def _with_hashes(papers: Iterable[Paper], hashes: Mapping[str, str]) -> list[Paper]:
    return [replace(paper, sha256=paper.sha256 or hashes.get(paper.name)) for paper in papers]


def fetch(papers: list[Paper], to: Path) -> FetchResult:
    """Download each paper that is not in the folder ``to`` yet; the folder exists and is locked.

    The result's ``failures`` has what failed; its ``check`` raises that.
    """
    with open_session() as session:
        present = {p.name: digest for p in papers if (digest := _present(p, to))}
        arxiv = _Arxiv()
        jobs = {}
        for paper in papers:
            if paper.file is None and paper.name not in present:
                url = paper.url or f"{ARXIV}/{paper.arxiv}"
                jobs[paper.name] = Download(
                    url=url,
                    to=to / paper.file_name,
                    session=session,
                    sha256=paper.sha256,
                    before=arxiv.pause if _is_arxiv(url) else lambda: None,
                )
        with _Progress(_sizes(jobs)) as progress:
            hashes, failures = _download_each(jobs, progress)
    return FetchResult(fetched=frozenset(hashes), hashes=present | hashes, failures=failures)


def _download_each(
    jobs: Mapping[str, Download], progress: _Progress
) -> tuple[dict[str, str], dict[str, PaperloraError]]:
    """Return the hashes of the downloaded papers and the errors of the others, by name."""
    hashes: dict[str, str] = {}
    failures: dict[str, PaperloraError] = {}
    troubled: set[str | None] = set()
    for name, job in jobs.items():
        host = urlsplit(job.url).hostname
        # After all attempts at one paper failed, the next papers of that host get one attempt each:
        # on a machine without a network the command should not take minutes to fail.
        attempts = 1 if host in troubled else job.attempts
        try:
            hashes[name] = download(replace(job, attempts=attempts, progress=progress.of(name)))
            troubled.discard(host)
        except (NetworkError, DataError) as error:
            failures[name] = error
            progress.drop(name)
            if isinstance(error, ExhaustedError):
                troubled.add(host)
    return hashes, failures


def _present(paper: Paper, to: Path) -> str | None:
    """Return the hash of the paper's PDF if the folder has it, and it is the right one."""
    path = to / paper.file_name
    if paper.file is not None or not path.is_file():
        return None
    digest = sha256_file(path)
    if digest == paper.sha256 or (paper.sha256 is None and is_pdf(path)):
        return digest
    log(f"{path} is not the PDF in the list: downloading that one")
    return None


def _is_arxiv(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return url.startswith(f"{ARXIV}/") or f".{host}".endswith(".arxiv.org")


class _Arxiv:
    """Keeps ``ARXIV_PAUSE`` between two requests to arXiv."""

    _last = -ARXIV_PAUSE

    def pause(self) -> None:
        if (rest := self._last + ARXIV_PAUSE - monotonic()) > 0:
            sleep(rest)
        self._last = monotonic()


def _sizes(jobs: Mapping[str, Download]) -> dict[str, int]:
    """Estimate the bytes of each paper by HEAD requests, and log their sum.

    arXiv gets no such request, because each would cost a pause; its papers count as typical.
    """
    sizes = dict.fromkeys(jobs, TYPICAL)
    # An estimate is not worth a second attempt: the first error ends the requests.
    with suppress(requests.RequestException, urllib3.exceptions.HTTPError):
        for name, job in jobs.items():
            if not _is_arxiv(job.url):
                answer = job.session.head(job.url, allow_redirects=True, timeout=TIMEOUT)
                sizes[name] = (length(answer) if answer.ok else None) or TYPICAL
    if sizes:
        log(f"papers to fetch: {len(sizes)}, about {sum(sizes.values()) / 1e6:,.1f} MB")
    return sizes


class _Progress:
    """One bar for all papers, in bytes; the server's size replaces the estimate of each."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self._sizes = sizes
        self._done = dict.fromkeys(sizes, 0)
        self._bar = tqdm(
            total=sum(sizes.values()), unit="B", unit_scale=True, disable=None, leave=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def of(self, name: str) -> Callable[[int, int | None], None]:
        """Return the function that the download calls with bytes received and bytes expected."""

        def report(done: int, total: int | None) -> None:
            self._sizes[name] = max(done, total or self._sizes[name])
            self._move(name, done)

        self._bar.set_description(name)
        return report

    def drop(self, name: str) -> None:
        """Remove a paper that failed from the sum."""
        self._sizes[name] = 0
        self._move(name, 0)

    def _move(self, name: str, done: int) -> None:
        self._bar.total = sum(self._sizes.values())
        self._bar.update(done - self._done[name])
        self._done[name] = done


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
