"""Looks up title, authors and PDF of an identifier: at arXiv, or at the registrar of a DOI.

Formats: https://info.arxiv.org/help/api/user-manual.html (Atom), https://citation.crosscite.org and
https://docs.citationstyles.org (CSL JSON).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

from paperlora.errors import DataError
from paperlora.pipeline.fetch import pace as addresses
from paperlora.pipeline.fetch import web
from paperlora.pipeline.fetch.web import TransientError, judge, shown, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    import requests

    from paperlora.pipeline.fetch.pace import Pace

DOI = "https://doi.org"
CSL = "application/vnd.citationstyles.csl+json"
PDF = "application/pdf"
ATOM = "{http://www.w3.org/2005/Atom}"
BATCH = 50  # identifiers in one request
CHUNK = 64 * 1024
MOST_BYTES = 10_000_000  # of an answer
MOST_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a registrar has about one paper; what it does not have is empty or None."""

    title: str
    authors: tuple[str, ...]
    year: int | None
    arxiv: str | None = None
    """The arXiv identifier with its version."""
    url: str | None = None
    """Where the PDF is."""
    licence: str | None = None


def arxiv(ids: Sequence[str], session: requests.Session, pace: Pace) -> dict[str, Found]:
    """Return what arXiv has about each identifier that it has; without a version, the latest.

    Raises ``NetworkError`` when arXiv does not answer, or not with a feed.
    """
    found: dict[str, Found] = {}
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        query = urlencode({"id_list": ",".join(batch), "max_results": len(batch)}, safe=",/")
        feed = _feed_at(f"{addresses.ARXIV_API}?{query}", session, pace)
        found |= {one: feed[one] for one in batch if one in feed}
    return found


def _feed_at(url: str, session: requests.Session, pace: Pace) -> dict[str, Found]:
    return web.retried(url, lambda: _feed(_get(url, session)), pace=pace)


def base(identifier: str) -> str:
    """Return an arXiv identifier without its version."""
    return re.sub(r"v[1-9][0-9]*$", "", identifier)


def doi(
    identifier: str, session: requests.Session, pace: Pace, *, attempts: int = web.ATTEMPTS
) -> Found:
    """Return what the registrar of a DOI has about it.

    Raises ``NetworkError`` when it does not answer, ``DataError`` when the answer is not CSL JSON.
    """
    url = f"{DOI}/{quote(identifier, safe='/')}"
    answer = web.retried(url, lambda: _get(url, session, accept=CSL), pace=pace, attempts=attempts)
    try:
        return csl(json.loads(answer))
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
        raise DataError(
            f"{shown(url)} did not send a description of the paper (CSL JSON)",
            remedy="put the address of its PDF into the list instead",
        ) from None


def csl(item: dict[str, Any]) -> Found:
    """Return what an item of CSL JSON has. Raises ``TypeError`` and the like when it is not one."""
    title = item.get("title") or ""
    title = title[0] if isinstance(title, list) else title  # Crossref's own form
    names = [
        one.get("literal") or " ".join(filter(None, (one.get("given"), one.get("family"))))
        for one in item.get("author") or ()
    ]
    date = ((item.get("issued") or {}).get("date-parts") or [[None]])[0][0]
    links = [str(one["URL"]) for one in item.get("link") or () if one.get("content-type") == PDF]
    licences = [str(one["URL"]) for one in item.get("license") or ()]
    return Found(
        title=plain(str(title)),
        authors=tuple(plain(name) for name in names if name),
        year=int(date) if date else None,
        url=next(iter(links), None),
        licence=next(iter(licences), None),
    )


def plain(text: str) -> str:
    """Return ``text`` on one line and without tags, which titles of Crossref and Zotero have."""
    return " ".join(re.sub(r"</?[a-z]{1,9}>", "", text).split())


def _get(url: str, session: requests.Session, *, accept: str = "*/*") -> bytes:
    with (
        translated(url),
        session.get(url, headers={"Accept": accept}, stream=True, timeout=web.TIMEOUT) as response,
    ):
        judge(url, response)
        body, began = bytearray(), monotonic()
        for chunk in response.raw.stream(CHUNK, decode_content=True):
            body += chunk
            if len(body) > MOST_BYTES or monotonic() - began > MOST_SECONDS:
                raise DataError(
                    f"{shown(url)} sent too much, or too slowly: {len(body):,} bytes",
                    remedy="put the address of the PDF into the list instead",
                )
    return bytes(body)


def _feed(body: bytes) -> dict[str, Found]:
    """Return the entries of arXiv's answer, each by its number with its version and without.

    Raises ``TransientError`` when it is not a feed: arXiv answers with "Rate exceeded." too.
    """
    text = body.decode(errors="replace")
    try:
        # A feed needs no DOCTYPE, and only that can declare entities, which could grow without end.
        root = None if "<!DOCTYPE" in text else ET.fromstring(text)  # noqa: S314 - see above
    except (ValueError, ET.ParseError):
        root = None
    if root is None or root.tag != f"{ATOM}feed":
        raise TransientError("did not send a feed of papers")
    found = {}
    for entry in root.iter(f"{ATOM}entry"):
        if number := _number(entry):  # an error is an entry too, but its id is another address
            found[base(number)] = found[number] = _entry(entry)
    return found


def _number(entry: ET.Element) -> str:
    return (entry.findtext(f"{ATOM}id") or "").partition("/abs/")[2]


def _entry(entry: ET.Element) -> Found:
    year = (entry.findtext(f"{ATOM}published") or "")[:4]
    names = [name.text or "" for name in entry.iterfind(f"{ATOM}author/{ATOM}name")]
    return Found(
        title=plain(entry.findtext(f"{ATOM}title") or ""),
        authors=tuple(plain(name) for name in names if name.strip()),
        year=int(year) if year.isdecimal() else None,
        arxiv=_number(entry),
    )
