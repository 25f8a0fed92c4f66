"""Downloads from a server with faults: each fault many times, with a different PDF each time."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server import PDF, body, page, redirect, reset, stall, status

from paperlora.pipeline.fetch.paper_list import Paper
from paperlora.pipeline.fetch.transfer import FetchResult, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from server import Answer, Server

STALL = 1.0  # seconds; the client must wait less


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a fault happens: the server, one that is encrypted, and the path of this download."""

    server: Server
    secure: Server
    path: str


Make = Callable[[Place, bytes], list["Answer"] | str]


def _cut(content: bytes, share: float = 0.4) -> int:
    return int(len(content) * share)


def _redirects(place: Place, content: bytes) -> list[Answer]:
    for number in range(4):
        place.server.put(f"{place.path}/{number}", redirect(f"{place.path}/{number + 1}"))
    place.server.put(f"{place.path}/4", body(content))
    return [redirect(f"{place.path}/0")]


def _another_host(place: Place, content: bytes) -> list[Answer]:
    place.server.put(f"{place.path}/there", body(content))
    return [redirect(f"{place.server.other_host}{place.path}/there")]


def _login(place: Place, _content: bytes) -> list[Answer]:
    place.server.put(f"{place.path}/login", page())
    return [redirect(f"{place.path}/login")]


def _to_http(place: Place, content: bytes) -> str:
    plain = place.server.put(f"{place.path}/plain", body(content))
    return place.secure.put(place.path, redirect(plain))


def _parts(content: bytes) -> list[Answer]:
    stops = (_cut(content, 0.2), _cut(content, 0.3), _cut(content, 0.3))
    return [*(body(content, stop=stop) for stop in stops), body(content)]


def _old(content: bytes) -> bytes:
    return content.replace(b"%PDF-1.7", b"%PDF-1.4")


GOOD: dict[str, Make] = {
    "none": lambda _, c: [body(c)],
    "reset before the answer": lambda _, c: [reset(c), body(c)],
    "reset in the body": lambda _, c: [reset(c, stop=_cut(c)), body(c)],
    "cut off": lambda _, c: [body(c, stop=_cut(c)), body(c)],
    "cut off three times": lambda _, c: _parts(c),
    "cut off, no validator": lambda _, c: [body(c, stop=_cut(c), tag=None), body(c, tag=None)],
    "cut off, weak validator": lambda _, c: [
        body(c, stop=_cut(c), tag='W/"a"'),
        body(c, tag='W/"a"'),
    ],
    "cut off, Range ignored": lambda _, c: [body(c, stop=_cut(c)), body(c, ranges=False)],
    "cut off, wrong part sent": lambda _, c: [body(c, stop=_cut(c)), body(c, shift=9), body(c)],
    "changed between two parts": lambda _, c: [
        body(_old(c), stop=_cut(c), tag='"old"'),
        body(c, tag='"new"'),
    ],
    "stall": lambda _, c: [stall(STALL, c, stop=_cut(c)), body(c)],
    "no length": lambda _, c: [body(c, length=False)],
    "no length, cut off": lambda _, c: [body(c, length=False, stop=_cut(c)), body(c)],
    "429 with Retry-After": lambda _, c: [status(429, retry_after="7"), body(c)],
    "429 without": lambda _, c: [status(429), body(c)],
    "500, then 503 with Retry-After": lambda _, c: [
        status(500),
        status(503, retry_after="2"),
        body(c),
    ],
    "five redirects": _redirects,
    "redirect to another host": _another_host,
}
"""Fault → the answers; the download succeeds."""

BAD: dict[str, tuple[str, Make]] = {
    "always reset": ("broke off in the middle", lambda _, c: [reset(c, stop=_cut(c))]),
    "always cut off": ("broke off in the middle", lambda _, c: [body(c, stop=_cut(c), tag=None)]),
    "always stalls": ("did not answer in time", lambda _, c: [stall(STALL, c)]),
    "length too small": ("without its end", lambda _, c: [body(c, declared=len(c) // 2)]),
    "length too large": (
        "broke off in the middle|has changed",
        lambda _, c: [body(c, declared=len(c) + 99)],
    ),
    "always 429": ("answered 429", lambda _, _c: [status(429)]),
    "always 500": ("answered 500", lambda _, _c: [status(500)]),
    "503, wait an hour": ("asks to wait 3600 s", lambda _, _c: [status(503, retry_after="3600")]),
    "404": ("answered 404", lambda _, _c: [status(404)]),
    "403": ("answered 403.*browser", lambda _, _c: [status(403)]),
    "a web page": ("sent a web page", lambda _, _c: [page()]),
    "a web page called PDF": ("sent a web page", lambda _, _c: [page("application/pdf")]),
    "redirect to a login page": ("sent a web page", _login),
    "another paper": ("has SHA-256", lambda _, _c: [body(PDF)]),
    "an empty file": ("sent an empty file", lambda _, _c: [body(b"")]),
    "a ZIP file": ("not a PDF", lambda _, _c: [body(b"PK\3\4" + bytes(1000))]),
    "endless redirects": ("redirects more than 5 times", lambda p, _: [redirect(p.path)]),
    "redirect to a file": ("not http or https", lambda _, _c: [redirect("file:///etc/passwd")]),
    "redirect from https to http": ("from https to http", _to_http),
}
"""Fault → the reason that must be named, and the answers."""

HASHED = {"another paper"}
"""Faults that only a known hash shows; `parse` compares titles for the others."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What happened with one fault."""

    fault: str
    downloads: int
    good: int
    """PDFs in the folder that equal the server's, byte by byte."""
    named: int
    """Downloads that failed with the right reason."""
    requests: int
    wrong: int
    """Everything else: another file, another reason, a good file where there must be none."""


def trial(server: Server, secure: Server, to: Path, count: int) -> list[Row]:
    """Download ``count`` PDFs for each fault to ``to``, in a random order, and compare them."""
    chance = random.Random(0)
    papers, contents = [], {}
    for fault, make in (GOOD | {fault: make for fault, (_, make) in BAD.items()}).items():
        for number in range(count):
            name = f"{re.sub('[^a-z0-9]+', '-', fault.lower())}-{number}"
            content = (
                b"%PDF-1.7\n" + chance.randbytes(chance.randint(20_000, 200_000)) + b"\n%%EOF\n"
            )
            place = Place(server=server, secure=secure, path=f"/{name}")
            answers = make(place, content)
            url = answers if isinstance(answers, str) else server.put(place.path, *answers)
            digest = hashlib.sha256(content).hexdigest() if fault in HASHED else None
            papers.append(Paper(name=name, title=fault, field="", url=url, sha256=digest))
            contents[name] = content
    chance.shuffle(papers)
    result = fetch(papers, to)
    requests = Counter(seen.path.split("/")[1] for one in (server, secure) for seen in one.seen)
    return [
        _row(
            fault,
            [paper for paper in papers if paper.title == fault],
            to,
            contents,
            result,
            requests,
        )
        for fault in (*GOOD, *BAD)
    ]


def _row(
    fault: str,
    papers: list[Paper],
    to: Path,
    contents: dict[str, bytes],
    result: FetchResult,
    requests: Counter[str],
) -> Row:
    good = named = 0
    for paper in papers:
        file = to / paper.file_name
        failure = result.failures.get(paper.name)
        if fault in GOOD:
            same = file.is_file() and file.read_bytes() == contents[paper.name]
            good += same and failure is None and paper.name in result.fetched
        else:
            reason = str(failure or "")
            named += (
                bool(re.search(BAD[fault][0], reason)) and " → " in reason and not file.exists()
            )
    return Row(
        fault=fault,
        downloads=len(papers),
        good=good,
        named=named,
        requests=sum(requests[paper.name] for paper in papers),
        wrong=len(papers) - good - named,
    )
