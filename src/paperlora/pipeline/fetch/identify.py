"""Recognises identifiers of papers in what people write, and makes file names."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

_ARXIV = re.compile(
    r"(?:https?://(?:[a-z]+\.)?arxiv\.org/(?:abs|pdf|html|src)/|arxiv:\s*|10\.48550/arxiv\.)?"
    r"([0-9]{4}\.[0-9]{4,5}(?:v[1-9][0-9]*)?|[a-z-]+(?:\.[A-Z]{2})?/[0-9]{7}(?:v[1-9][0-9]*)?)"
    r"(?:\.pdf)?/?",
    re.ASCII,
)
_PREFIX = re.compile(
    r"^(?:arxiv:|https?://(?:[a-z]+\.)?arxiv\.org/|10\.48550/arxiv\.)", re.IGNORECASE
)
_DOI = re.compile(
    r"(?:doi:\s*|https?://(?:dx\.|www\.)?doi\.org/)?(10\.[0-9]{4,9}/[!-~]+)", re.IGNORECASE
)
MOST_LETTERS = 100  # of a name


def identify(text: str) -> tuple[str, str] | None:
    """Return what ``text`` is, as a key of a list and its value, or None.

    The keys: ``arxiv``, ``doi``, ``url``.
    """
    text = text.strip()
    address = text.partition("#")[0].partition("?")[0]
    if found := _DOI.fullmatch(unquote(text)):
        address = found[1]
    lowered = _PREFIX.sub(lambda prefix: prefix[0].lower(), address)
    if arxiv := _ARXIV.fullmatch(lowered):
        return "arxiv", arxiv[1]
    if found:
        return "doi", found[1].lower()  # a DOI has no case
    return ("url", text) if text.lower().startswith(("http://", "https://")) else None


def slug(text: str) -> str:
    """Return ``text`` as a file name of a-z, 0-9 and single hyphens."""
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", letters)[:MOST_LETTERS].strip("-")
    # A name in another script has no letter left: a hash keeps it apart from the others.
    return name or f"paper-{_hash(text)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]


def address_slug(url: str) -> str:
    """Return a file name for a web address: its last part, or its host and a hash."""
    parts = urlsplit(url)
    last = re.sub(r"\.pdf$", "", parts.path.rstrip("/").rpartition("/")[2], flags=re.IGNORECASE)
    if last.lower() in {"", "pdf", "download", "file", "paper", "main", "view"}:
        return slug(f"{parts.hostname} {_hash(url)}")
    return slug(unquote(last))


def unique(names: Iterable[str]) -> list[str]:
    """Return the names, each different: a second ``a`` becomes ``a-2``."""
    seen: set[str] = set()
    result = []
    for name in names:
        number, one = 1, name
        while one in seen:
            number += 1
            end = f"-{number}"
            one = name[: MOST_LETTERS - len(end)].rstrip("-") + end
        seen.add(one)
        result.append(one)
    return result
