"""Downloads one PDF over HTTP: resumes, checks, and puts only a complete file in place.

The bytes arrive in ``<name>.pdf.part``. ``<name>.pdf.part.json`` keeps the validator of the server's
copy (RFC 9110, sections 8.8 and 13.1.5). With it a later call requests the rest (``Range`` and
``If-Range``), and gets the whole file if the copy has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from paperlora.errors import DataError
from paperlora.files import sha256_file, write_json
from paperlora.pipeline.fetch import web
from paperlora.pipeline.fetch.web import TransientError, judge, length, shown, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import requests

    from paperlora.pipeline.fetch.pace import Pace

CHUNK = 64 * 1024
MAGIC = b"%PDF-"
END = b"%%EOF"

MOST_BYTES = 100_000_000
PATIENCE = 30.0  # seconds of one attempt before its pace is checked
SLOWEST = 1024.0  # bytes per second that it must reach then


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file to download; ``progress`` is called with the bytes received and those expected.

    The bytes expected are None when the server does not send their number.
    """

    url: str
    to: Path
    session: requests.Session
    pace: Pace
    sha256: str | None = None
    attempts: int = web.ATTEMPTS
    progress: Callable[[int, int | None], None] = lambda _done, _total: None

    @property
    def part(self) -> Path:
        """The file that receives the bytes."""
        return self.to.with_name(f"{self.to.name}.part")

    @property
    def side(self) -> Path:
        """The file that keeps the validator of those bytes."""
        return self.to.with_name(f"{self.to.name}.part.json")


def download(job: Download) -> str:
    """Download ``job.url`` to the file ``job.to`` and return its SHA-256.

    After an interruption the next call uses the bytes that have arrived.
    Raises ``NetworkError`` (``ExhaustedError`` after the last attempt), or ``DataError`` when the file
    is not a PDF, is not the one in the list, or cannot be written.
    """
    web.retried(job.url, lambda: _attempt(job), pace=job.pace, attempts=job.attempts)
    digest = sha256_file(job.part)
    if job.sha256 not in {None, digest}:
        _forget(job)  # resuming from wrong bytes would fail each time
        raise DataError(
            f"{shown(job.url)} has SHA-256 {digest}, but the list has {job.sha256}",
            remedy="check that it is the right paper, then correct sha256 in the list and in the "
            "folder's papers.json",
        )
    with _writing(job):
        job.part.replace(job.to)
    _forget(job)
    return digest


def is_pdf(path: Path) -> bool:
    """Return whether the file begins like a PDF."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _has_end(path: Path) -> bool:
    """Return whether a PDF's end is where readers look for it: in the last 1,024 bytes.

    Zeros and spaces after it do not count. An earlier ``%%EOF`` is not the end: a PDF that was made
    for the web, or changed after it was made, has several.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - CHUNK))
        return END in file.read().rstrip(b"\0 \t\r\n")[-1024:]


def _attempt(job: Download) -> None:
    headers = _resume(job)
    with (
        translated(job.url),
        job.session.get(job.url, headers=headers, stream=True, timeout=web.TIMEOUT) as response,
    ):
        start = job.part.stat().st_size if headers and response.status_code == 206 else 0
        given = response.headers.get("Content-Range", "")
        if response.status_code == 416 or (
            response.status_code == 206 and not given.startswith(f"bytes {start}-")
        ):
            _forget(job)  # the part is not the beginning of the server's copy: start from zero
            raise TransientError("has changed the file since the download began", 0.0)
        judge(job.url, response)
        _receive(job, response, start)


def _receive(job: Download, response: requests.Response, start: int) -> None:
    """Append the body of ``response`` to the part, which has ``start`` good bytes."""
    rest = length(response)
    total = None if rest is None else start + rest
    _check_size(job, total or 0)
    if not start:
        _remember(job, response)
    done, began, head = start, monotonic(), b""
    job.progress(done, total)
    # read1 returns what has arrived; read would wait for a whole chunk, on a slow server for hours
    with _opened(job, append=start > 0) as write:
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            if not start and len(head) < len(MAGIC):
                head += chunk
                _check_head(job, head, response.headers.get("Content-Type", ""))
            write(chunk)
            done += len(chunk)
            _check_size(job, done)
            job.progress(done, total)
            count, seconds = done - start, monotonic() - began
            if seconds > PATIENCE and count < SLOWEST * seconds:
                raise TransientError(f"sent only {count / seconds:.0f} bytes per second")
    if total is not None and done != total:
        raise TransientError(f"broke off after {done:,} of {total:,} bytes")
    if not is_pdf(job.part):
        _refuse(job, "an empty file" if not done else "a file that is not a PDF")
    if job.sha256 is None and not _has_end(job.part):
        _forget(job)  # the server calls it complete: there is nothing to resume
        raise TransientError("sent a PDF without its end (%%EOF)")


def _resume(job: Download) -> dict[str, str]:
    """Return the headers that request the rest, or no headers when the part cannot be used."""
    try:
        side = json.loads(job.side.read_text(encoding="utf-8"))
        size = job.part.stat().st_size
        if size and side["source"] == _identity(job) and isinstance(side["validator"], str):
            return {"Range": f"bytes={size}-", "If-Range": side["validator"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # missing or damaged: start from zero
    return {}


def _remember(job: Download, response: requests.Response) -> None:
    """Store what ``_resume`` needs, and delete the bytes of an earlier answer."""
    tag = response.headers.get("ETag", "")
    # A weak tag promises the same meaning, not the same bytes: If-Range must not contain it.
    strong = "" if tag.startswith("W/") else tag
    validator = strong or response.headers.get("Last-Modified")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        validator = None  # a range counts encoded bytes, but the part has decoded ones
    with _writing(job):
        _forget(job)
        write_json(job.side, {"source": _identity(job), "validator": validator})


def _identity(job: Download) -> str:
    # hashed, because an address may contain a token
    return hashlib.sha256(job.url.encode()).hexdigest()


def _forget(job: Download) -> None:
    job.part.unlink(missing_ok=True)
    job.side.unlink(missing_ok=True)


@contextmanager
def _opened(job: Download, *, append: bool) -> Iterator[Callable[[bytes], None]]:
    """Yield the function that appends bytes to the part; they stay there after any error."""
    with _writing(job):
        file = job.part.open("ab" if append else "wb", buffering=0)

    def write(chunk: bytes) -> None:
        rest = memoryview(chunk)
        with _writing(job):
            while rest:  # a nearly full disk writes a piece before it reports that it is full
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
            remedy="free some space, or choose another folder with --to",
        ) from None


def _check_size(job: Download, size: int) -> None:
    if size > MOST_BYTES:
        _forget(job)
        raise DataError(
            f"{shown(job.url)} is larger than {MOST_BYTES / 1e6:,.0f} MB",
            remedy="check the address, or download it with a browser",
        )


def _check_head(job: Download, head: bytes, kind: str) -> None:
    """Refuse a body as soon as its first bytes show that it is not a PDF."""
    if head.startswith(MAGIC) or (len(head) < len(MAGIC) and MAGIC.startswith(head)):
        return
    page = head.lstrip().startswith(b"<") or kind.startswith("text/html")
    _refuse(job, "a web page, not a PDF" if page else "a file that is not a PDF")


def _refuse(job: Download, what: str) -> None:
    _forget(job)
    raise DataError(
        f"{shown(job.url)} sent {what}",
        remedy="open it in a browser, and put the address of the PDF itself into the list",
    )
