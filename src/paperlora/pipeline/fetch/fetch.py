"""The ``fetch`` command: brings the papers of a list to a folder, one polite request at a time.

A paper that is there already is not fetched again. One that fails does not stop the others; all
failures are told together at the end. What breaks off is gone on with by the next call.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm

from paperlora.errors import DataError, InputError, NetworkError, PaperloraError
from paperlora.files import sha256_file
from paperlora.pipeline.fetch import paper_list
from paperlora.pipeline.fetch.download import DEFAULT, Download, Limits, download, is_pdf
from paperlora.pipeline.fetch.web import ExhaustedError, length, open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from paperlora.pipeline.fetch.paper_list import Paper

ARXIV = "https://arxiv.org/pdf"
ARXIV_PAUSE = 3.0
"""Seconds between requests to arXiv: https://info.arxiv.org/help/api/tou.html asks for them."""
TYPICAL = 2_500_000
"""Bytes of a paper whose size is not known beforehand: for the estimate only."""


@dataclass(frozen=True, kw_only=True)
class FetchResult:
    """What became of each paper, by name; ``hashes`` has all that lie in the folder now."""

    fetched: tuple[str, ...]
    present: tuple[str, ...]
    shipped: tuple[str, ...]
    hashes: Mapping[str, str]
    failures: Mapping[str, PaperloraError]

    def check(self) -> None:
        """Raise what went wrong: ``DataError`` if nothing but data did, else ``NetworkError``."""
        if not self.failures:
            return
        data = all(isinstance(error, DataError) for error in self.failures.values())
        lines = [f"\n  {name}: {error}" for name, error in self.failures.items()]
        papers = "1 paper was" if len(lines) == 1 else f"{len(lines)} papers were"
        raise (DataError if data else NetworkError)(f"{papers} not fetched:{''.join(lines)}")


def run(list_path: Path, to: Path, *, record: bool = False) -> FetchResult:
    """Fetch the papers of the list to the folder ``to`` and print a line for each that is there.

    With ``record``, hashes that the list lacks are written into it. That trusts what came this
    once; from then on every other copy is refused.
    Raises ``InputError``, ``NetworkError`` or ``DataError``.
    """
    papers = paper_list.read(list_path)
    result = fetch(papers, to)
    for name, digest in result.hashes.items():
        print(digest, f"{to / name}.pdf", "fetched" if name in result.fetched else "present")
    unknown = [p.name for p in papers if p.sha256 is None and p.name in result.hashes]
    known = [replace(p, sha256=p.sha256 or result.hashes.get(p.name)) for p in papers]
    # Beside the PDFs, where `parse` finds titles, fields and hashes.
    paper_list.write(to / paper_list.LIST_NAME, known)
    if unknown and record:
        paper_list.write(list_path, known)
        _log(f"recorded in {list_path}: the hashes of {', '.join(unknown)}")
    elif unknown:
        _log(f"{list_path} lacks the hashes of {', '.join(unknown)}; --record writes them into it")
    result.check()
    return result


def fetch(
    papers: list[Paper],
    to: Path,
    *,
    arxiv_base: str = ARXIV,
    session: requests.Session | None = None,
    limits: Limits = DEFAULT,
    sleep: Callable[[float], None] = time.sleep,
) -> FetchResult:
    """Fetch each paper that is not in the folder ``to`` yet, which is made if need be.

    What fails is in the result's ``failures``; its ``check`` raises them.
    Raises ``InputError`` when the folder cannot be used, ``DataError`` when another fetch uses it.
    """
    with _alone(to), nullcontext(session) if session else open_session() as web:
        present = {p.name: digest for p in papers if (digest := _present(p, to))}
        arxiv = _Arxiv(base=arxiv_base, sleep=sleep)
        jobs = {}
        for paper in papers:
            if paper.file is None and paper.name not in present:
                url = paper.url or f"{arxiv_base}/{paper.arxiv}"
                jobs[paper.name] = Download(
                    url=url,
                    to=to / paper.file_name,
                    session=web,
                    sha256=paper.sha256,
                    limits=limits,
                    turn=arxiv.pause if arxiv.has(url) else lambda: None,
                    note=_log,
                    sleep=sleep,
                )
        with _Progress(_sizes(jobs, arxiv)) as progress:
            hashes, failures = _download_each(jobs, progress)
    return FetchResult(
        fetched=tuple(hashes),
        present=tuple(present),
        shipped=tuple(p.name for p in papers if p.file is not None),
        hashes=present | hashes,
        failures=failures,
    )


def _download_each(
    jobs: Mapping[str, Download], progress: _Progress
) -> tuple[dict[str, str], dict[str, PaperloraError]]:
    """Return the hashes of what came and the errors of what did not, by name."""
    hashes: dict[str, str] = {}
    failures: dict[str, PaperloraError] = {}
    troubled: set[str | None] = set()
    for name, job in jobs.items():
        host = urlsplit(job.url).hostname
        # Where all attempts at one paper failed, the next of that host get one each: a machine
        # without a network should hear so soon.
        limits = replace(job.limits, attempts=1) if host in troubled else job.limits
        try:
            hashes[name] = download(replace(job, limits=limits, progress=progress.of(name)))
            troubled.discard(host)
        except (NetworkError, DataError) as error:
            failures[name] = error
            progress.drop(name)
            if isinstance(error, ExhaustedError):
                troubled.add(host)
    return hashes, failures


def _present(paper: Paper, to: Path) -> str | None:
    """Return the hash of the paper's PDF if it is in the folder and good."""
    path = to / paper.file_name
    if paper.file is not None or not path.is_file():
        return None
    digest = sha256_file(path)
    if paper.sha256 is None and is_pdf(path):
        return digest
    if digest == paper.sha256:
        return digest
    _log(f"{path} is not the paper of the list: fetching that")
    return None


class _Arxiv:
    """Knows arXiv's addresses, and keeps ``ARXIV_PAUSE`` between two requests to it."""

    def __init__(self, *, base: str, sleep: Callable[[float], None]) -> None:
        self._base = base
        self._sleep = sleep
        self._last = -ARXIV_PAUSE

    def has(self, url: str) -> bool:
        host = urlsplit(url).hostname or ""
        return url.startswith(f"{self._base}/") or f".{host}".endswith(".arxiv.org")

    def pause(self) -> None:
        if (rest := self._last + ARXIV_PAUSE - time.monotonic()) > 0:
            self._sleep(rest)
        self._last = time.monotonic()


def _sizes(jobs: Mapping[str, Download], arxiv: _Arxiv) -> dict[str, int]:
    """Estimate the bytes of each paper, and say the sum.

    arXiv is not asked, since each question would cost a pause; its papers count as typical.
    """
    sizes = dict.fromkeys(jobs, TYPICAL)
    # An estimate is not worth a second attempt: the first error ends the asking.
    with suppress(requests.RequestException, urllib3.exceptions.HTTPError):
        for name, job in jobs.items():
            if not arxiv.has(job.url):
                answer = job.session.head(job.url, allow_redirects=True, timeout=job.limits.timeout)
                sizes[name] = (length(answer) if answer.ok else None) or TYPICAL
    if sizes:
        _log(f"papers to fetch: {len(sizes)}, about {sum(sizes.values()) / 1e6:,.1f} MB")
    return sizes


class _Progress:
    """One bar for all papers, in bytes; each estimate gives way to what the server says."""

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
        """Return the function that a download of ``name`` calls with bytes there and expected."""

        def report(done: int, total: int | None) -> None:
            self._sizes[name] = max(done, total or self._sizes[name])
            self._move(name, done)

        self._bar.set_description(name)
        return report

    def drop(self, name: str) -> None:
        """Take a paper that failed out of the sum."""
        self._sizes[name] = 0
        self._move(name, 0)

    def _move(self, name: str, done: int) -> None:
        self._bar.total = sum(self._sizes.values())
        self._bar.update(done - self._done[name])
        self._done[name] = done


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Make the folder and hold it, so that two fetches never write the same file."""
    try:
        to.mkdir(parents=True, exist_ok=True)
        handle = os.open(to, os.O_RDONLY)
    except OSError as error:
        raise InputError(
            f"cannot use the folder {to}: {error.strerror}", remedy="name another with --to"
        ) from None
    try:
        _lock(handle, to)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, to: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(
            f"another fetch is writing to {to}", remedy="wait for it, or name another with --to"
        ) from None
    except OSError:  # some network file systems lock no folders: then nothing guards it
        return


def _log(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
