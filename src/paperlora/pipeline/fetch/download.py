"""One PDF over HTTP: streamed, resumed, checked, and put in place whole or not at all.

The bytes arrive in ``<name>.pdf.part``. Beside it ``<name>.pdf.part.json`` keeps the validator of
the server's copy (RFC 9110, sections 8.8 and 13.1.5), so that a later call asks for the rest with
``Range`` and ``If-Range`` and gets the whole again if the copy has changed in between.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperlora.errors import DataError
from paperlora.files import sha256_file, write_json
from paperlora.pipeline.fetch.web import (
    ExhaustedError,
    TransientError,
    judge,
    length,
    shown,
    translated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import requests

CHUNK = 64 * 1024
MAGIC = b"%PDF-"
END = b"%%EOF"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one download: bytes, seconds, attempts, bytes a second."""

    size: int = 100_000_000
    connect: float = 10.0
    read: float = 30.0
    attempts: int = 5
    longest_wait: float = 120.0
    patience: float = 30.0  # after so many seconds of one attempt …
    slowest: float = 1024.0  # … it must have brought so many bytes a second

    @property
    def timeout(self) -> tuple[float, float]:
        """What ``requests`` takes: seconds to connect, seconds between two reads."""
        return self.connect, self.read


DEFAULT = Limits()


@dataclass(frozen=True, kw_only=True)
class Download:
    """What to fetch, and what to call on the way.

    ``turn`` is called before each request, ``progress`` with the bytes there and the bytes expected
    (None: the server does not say), ``note`` with a line for the log, ``sleep`` to wait seconds.
    """

    url: str
    to: Path
    session: requests.Session
    sha256: str | None = None
    limits: Limits = DEFAULT
    turn: Callable[[], None] = lambda: None
    progress: Callable[[int, int | None], None] = lambda _done, _total: None
    note: Callable[[str], None] = lambda _line: None
    sleep: Callable[[float], None] = time.sleep

    @property
    def part(self) -> Path:
        """Where the bytes arrive."""
        return self.to.with_name(f"{self.to.name}.part")

    @property
    def side(self) -> Path:
        """Where the validator of those bytes is kept."""
        return self.to.with_name(f"{self.to.name}.part.json")


def download(job: Download) -> str:
    """Fetch ``job.url`` to the file ``job.to`` and return its SHA-256.

    An interruption keeps what has arrived for the next call.
    Raises ``NetworkError`` (``ExhaustedError`` after the last attempt), or ``DataError`` when what
    arrived is not the PDF that was asked for, or cannot be written.
    """
    attempt = 1
    while True:
        job.turn()
        try:
            _attempt(job)
            break
        except TransientError as error:
            _wait(job, attempt, error)
        attempt += 1
    digest = sha256_file(job.part)
    if job.sha256 not in {None, digest}:
        _forget(job)  # its bytes are wrong: going on from them could never end well
        raise DataError(
            f"{shown(job.url)} has SHA-256 {digest}, the list says {job.sha256}",
            remedy="look whether it is the paper you mean, then correct sha256 in the list",
        )
    with _writing(job):
        job.part.replace(job.to)
    _forget(job)
    return digest


def is_pdf(path: Path) -> bool:
    """Say whether the file begins as a PDF does."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _wait(job: Download, attempt: int, error: TransientError) -> None:
    """Sleep before the next attempt: as long as the server asked, else 1, 2, 4 … seconds."""
    wait = float(2 ** (attempt - 1)) if error.wait is None else error.wait
    if wait > job.limits.longest_wait:
        raise ExhaustedError(
            f"{shown(job.url)} {error} and asks to wait {wait:.0f} s",
            remedy="run the command again after that time",
        ) from None
    if attempt >= job.limits.attempts:
        raise ExhaustedError(
            f"{shown(job.url)} {error} (attempts: {attempt})",
            remedy="run the command again later; it goes on where it stopped",
        ) from None
    job.note(f"{shown(job.url)} {error}; next attempt in {wait:.0f} s")
    job.sleep(wait)


def _attempt(job: Download) -> None:
    headers = _resume(job)
    with (
        translated(job.url),
        job.session.get(
            job.url, headers=headers, stream=True, timeout=job.limits.timeout
        ) as response,
    ):
        start = job.part.stat().st_size if headers and response.status_code == 206 else 0
        given = response.headers.get("Content-Range", "")
        if response.status_code == 416 or (
            response.status_code == 206 and not given.startswith(f"bytes {start}-")
        ):
            _forget(job)  # the part is not the beginning of what the server has: begin again
            raise TransientError("no longer has the file that was begun", 0.0)
        judge(job.url, response)
        _receive(job, response, start)


def _receive(job: Download, response: requests.Response, start: int) -> None:
    """Add the body of ``response`` to the part, which holds ``start`` good bytes."""
    rest = length(response)
    total = None if rest is None else start + rest
    _check_size(job, total or 0)
    if not start:
        _remember(job, response)
    done, began, head = start, time.monotonic(), b""
    job.progress(done, total)
    # read1 returns what is there; read would wait for a whole chunk, and a dripping server for ever
    with _opened(job, append=start > 0) as write:
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            if not start and len(head) < len(MAGIC):
                head += chunk
                _check_head(job, head)
            write(chunk)
            done += len(chunk)
            _check_size(job, done)
            job.progress(done, total)
            _check_pace(job, done - start, time.monotonic() - began)
    if total is not None and done != total:
        raise TransientError(f"broke off after {done:,} of {total:,} bytes")
    if not is_pdf(job.part):
        _refuse(job, "an empty file" if not done else "no PDF")
    if total is None and job.sha256 is None and END not in job.part.read_bytes()[-CHUNK:]:
        raise TransientError("did not say how long the file is, and it has no end")


def _resume(job: Download) -> dict[str, str]:
    """Return the headers that ask for the rest, or none when the part cannot be gone on with."""
    try:
        side = json.loads(job.side.read_text(encoding="utf-8"))
        size = job.part.stat().st_size
        if size and side["source"] == _identity(job) and isinstance(side["validator"], str):
            return {"Range": f"bytes={size}-", "If-Range": side["validator"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # none there, or damaged: begin again
    return {}


def _remember(job: Download, response: requests.Response) -> None:
    """Keep what ``_resume`` needs, and drop the bytes that belonged to an earlier answer."""
    tag = response.headers.get("ETag", "")
    # A weak tag promises the same meaning, not the same bytes: If-Range must not carry it.
    strong = "" if tag.startswith("W/") else tag
    validator = strong or response.headers.get("Last-Modified")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        validator = None  # a range would count encoded bytes, the part holds decoded ones
    with _writing(job):
        _forget(job)
        write_json(job.side, {"source": _identity(job), "validator": validator})


def _identity(job: Download) -> str:
    return hashlib.sha256(job.url.encode()).hexdigest()  # hashed: an address may hold a token


def _forget(job: Download) -> None:
    job.part.unlink(missing_ok=True)
    job.side.unlink(missing_ok=True)


@contextmanager
def _opened(job: Download, *, append: bool) -> Iterator[Callable[[bytes], None]]:
    """Yield the function that adds bytes to the part; what was added stays there on any error."""
    with _writing(job):
        file = job.part.open("ab" if append else "wb", buffering=0)

    def write(chunk: bytes) -> None:
        rest = memoryview(chunk)
        with _writing(job):
            while rest:  # a nearly full disk takes a piece before it says that it is full
                rest = rest[file.write(rest) :]

    with file:
        yield write


@contextmanager
def _writing(job: Download) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write {job.to}: {error.strerror}",
            remedy="free some space, or name a folder that can be written with --to",
        ) from None


def _check_size(job: Download, size: int) -> None:
    if size > job.limits.size:
        _forget(job)
        raise DataError(
            f"{shown(job.url)} is larger than {job.limits.size / 1e6:,.0f} MB",
            remedy="check the address; a paper is rarely that large",
        )


def _check_head(job: Download, head: bytes) -> None:
    """Refuse a body as soon as its first bytes show that it is no PDF."""
    if head.startswith(MAGIC) or (len(head) < len(MAGIC) and MAGIC.startswith(head)):
        return
    _refuse(job, "a web page, no PDF" if head.lstrip().startswith(b"<") else "no PDF")


def _refuse(job: Download, what: str) -> None:
    _forget(job)
    raise DataError(
        f"{shown(job.url)} sent {what}",
        remedy="open it in a browser and put the address of the PDF itself into the list",
    )


def _check_pace(job: Download, count: int, seconds: float) -> None:
    if seconds > job.limits.patience and count < job.limits.slowest * seconds:
        raise TransientError(f"sent only {count / seconds:.0f} bytes a second")
