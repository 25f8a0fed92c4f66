"""Reads a list of papers, checks it strictly, and writes it atomically.

A list is a JSON array of objects. Each names one paper and says where it comes from::

    {"name": "lora", "title": "LoRA: Low-Rank Adaptation", "field": "ai",
     "arxiv": "2106.09685v2", "sha256": null}

``name`` becomes the file name, so it may only contain characters that are safe in every file system.
The source is one of ``url``, ``arxiv`` (an identifier) and ``file`` (ships with the project).
``licence`` is optional; ``sha256`` is null or absent until the hash of the PDF is known.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from paperlora.errors import InputError
from paperlora.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_NAME = 100
LIST_NAME = "papers.json"
"""The file name of a list, in ``lockfiles`` and in a folder of downloaded papers."""
# https://info.arxiv.org/help/arxiv_identifier.html: since April 2007, and before
ARXIV = re.compile(r"\d{4}\.\d{4,5}(v[1-9]\d*)?|[a-z-]+(\.[A-Z]{2})?/\d{7}(v[1-9]\d*)?", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}")
SOURCES = ("url", "arxiv", "file")
REQUIRED = ("name", "title", "field")


@dataclass(frozen=True, kw_only=True)
class Paper:
    """One entry of the list; exactly one of ``url``, ``arxiv`` and ``file`` is set."""

    name: str
    title: str
    field: str
    url: str | None = None
    arxiv: str | None = None
    file: str | None = None
    sha256: str | None = None
    licence: str | None = None

    @property
    def file_name(self) -> str:
        """The name of the PDF in the folder of papers."""
        return f"{self.name}.pdf"

    @property
    def source(self) -> tuple[str, str]:
        """The key that says where the paper comes from, and its value."""
        return next((key, value) for key in SOURCES if (value := getattr(self, key)) is not None)


KEYS = tuple(field.name for field in fields(Paper))


def read(path: Path) -> list[Paper]:
    """Read a list of papers.

    Raises ``InputError``, with the entry and what to change, when the list differs from the format
    in the module's docstring.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot read the list of papers {path}: {error.strerror}",
            remedy="give a JSON file with --list",
        ) from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}", remedy="correct the file") from None
    if not isinstance(entries, list):
        raise InputError(
            f"{path} contains {_kind(entries)}, not a list of papers",
            remedy="put the entries between [ and ]",
        )
    papers = [_paper(f"{path}, entry {n}", entry) for n, entry in enumerate(entries, 1)]
    for name, count in Counter(paper.name for paper in papers).items():
        if count > 1:
            raise InputError(
                f"{path} has {name!r} {count} times", remedy="give each paper its own name"
            )
    return papers


def write(path: Path, papers: list[Paper]) -> None:
    """Write the list atomically, without the keys that are not set; ``sha256`` is always written."""
    write_json(
        path,
        [
            {key: value for key, value in asdict(paper).items() if value or key in _ALWAYS}
            for paper in papers
        ],
    )


_ALWAYS = (*REQUIRED, "sha256")


def _paper(where: str, entry: object) -> Paper:
    if not isinstance(entry, dict):
        raise InputError(
            f"{where} is {_kind(entry)}, not an object", remedy='write {"name": …, "title": …}'
        )
    if isinstance(entry.get("name"), str):
        where = f"{where} ({entry['name']!r})"
    for key, value in entry.items():
        if key not in KEYS:
            close = get_close_matches(key, KEYS, n=1)
            guess = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(KEYS)}"
            raise InputError(f"{where} has the unknown key {key!r}", remedy=guess)
        if not isinstance(value, str) and (value is not None or key in REQUIRED):
            raise InputError(f"{where}: {key!r} is {_kind(value)}", remedy="make it a string")
    if missing := [key for key in REQUIRED if key not in entry]:
        raise InputError(f"{where} has no {' and no '.join(missing)}", remedy="add it")
    if not entry["title"].strip():
        raise InputError(f"{where} has an empty title", remedy="add the title of the paper")
    paper = Paper(**entry)
    _check_name(where, paper.name)
    _check_source(where, paper)
    if paper.sha256 is not None and not SHA256.fullmatch(paper.sha256):
        raise InputError(
            f"{where}: sha256 {paper.sha256!r} is not 64 lower-case hexadecimal digits",
            remedy="use null until it is known; `fetch --record` writes it",
        )
    return paper


def _check_name(where: str, name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise InputError(
            f"{where}: the name {name!r} cannot be used as a file name",
            remedy=f"use a-z, 0-9 and single hyphens, at most {LONGEST_NAME} characters",
        )


def _check_source(where: str, paper: Paper) -> None:
    given = [key for key in SOURCES if getattr(paper, key) is not None]
    if len(given) != 1:
        raise InputError(
            f"{where} has {' and '.join(given) or 'no source'}",
            remedy=f"give exactly one of {', '.join(SOURCES)}",
        )
    if paper.url is not None:
        _check_url(where, paper.url)
    if paper.arxiv is not None and not ARXIV.fullmatch(paper.arxiv):
        raise InputError(
            f"{where}: {paper.arxiv!r} is not an arXiv identifier",
            remedy="write it as 2106.09685v2 or hep-th/9901001v1, not as a URL",
        )
    if paper.file is not None:
        parts = PurePosixPath(paper.file).parts
        if not parts or parts[0] == "/" or ".." in parts or not paper.file.endswith(".pdf"):
            raise InputError(
                f"{where}: {paper.file!r} is not a PDF inside the project",
                remedy="give a relative path that ends in .pdf and does not contain '..'",
            )


def _check_url(where: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, "@" in parts.netloc
        _ = parts.port  # urlsplit checks the port only when it is read
    except ValueError:
        host, secret = None, False
    if secret:  # the message must not show it: logs are kept and copied
        raise InputError(
            f"{where}: the url contains a user name or password",
            remedy="remove it from the url and put it into ~/.netrc",
        )
    plain = url.isprintable() and not re.search(r"[\s\\]", url)
    if not plain or not host or parts.scheme not in {"http", "https"}:
        raise InputError(
            f"{where}: {url!r} is not a web address",
            remedy="use one that begins with https:// or http://",
        )


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), "a number")
