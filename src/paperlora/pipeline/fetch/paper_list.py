"""Reads a list of papers, checks it strictly, and writes it atomically.

A list is a JSON array of objects. Each names one paper and says where it comes from::

    {"name": "lora", "title": "LoRA: Low-Rank Adaptation", "field": "ai",
     "arxiv": "2106.09685v2", "sha256": null}

Exactly one of ``url``, ``arxiv``, ``doi`` and ``file`` is the source of the paper.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from paperlora.errors import InputError
from paperlora.files import write_json

LIST_NAME = "papers.json"
"""The file name of a list, in ``lockfiles`` and in a folder of downloaded papers."""
# https://info.arxiv.org/help/arxiv_identifier.html: since April 2007, and before
ARXIV = r"^([0-9]{4}\.[0-9]{4,5}(v[1-9][0-9]*)?|[a-z-]+(\.[A-Z]{2})?/[0-9]{7}(v[1-9][0-9]*)?)$"
DOI = r"^10\.[0-9]{4,9}/[!-~]+$"
SOURCES = ("url", "arxiv", "doi", "file")
ALWAYS = ("name", "title", "field", "sha256")


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, "@" in parts.netloc
        _ = parts.port  # urlsplit checks the port only when it is read
    except ValueError:
        host, secret = None, False
    if secret:  # the message must not show it: logs are kept and copied
        raise ValueError(
            "the url contains a user name or password → remove it, and put it into ~/.netrc"
        )
    plain = url.isprintable() and not re.search(r"[\s\\]", url)
    if not plain or not host or parts.scheme not in {"http", "https"}:
        raise ValueError(f"{url!r} is not a web address → give one with https:// or http://")
    return url


def _check_file(file: str) -> str:
    parts = PurePosixPath(file).parts
    if not parts or parts[0] == "/" or ".." in parts or not file.endswith(".pdf"):
        raise ValueError(
            f"{file!r} is not a PDF inside the project → give a relative path without '..' that ends "
            "in .pdf"
        )
    return file


@dataclass(
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True),
)
class Paper:
    """One entry of the list. The docstring of a key completes the message about a bad value."""

    name: Annotated[str, Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
    """a file name of a-z, 0-9 and single hyphens, at most 100 characters"""
    title: Annotated[str, Field(pattern=r"^$|\S")]
    """the title of the paper as a string; an empty one is unknown"""
    field: str
    """the field of research as a string, which may be empty"""
    url: Annotated[str, AfterValidator(_check_url)] | None = None
    """a web address as a string"""
    arxiv: Annotated[str, Field(pattern=ARXIV)] | None = None
    """an arXiv identifier, 2106.09685v2 or hep-th/9901001v1, not a URL"""
    doi: Annotated[str, Field(pattern=DOI)] | None = None
    """a DOI, 10.1038/nature14539, not a URL"""
    file: Annotated[str, AfterValidator(_check_file)] | None = None
    """the path of a PDF that needs no download"""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """64 lower-case hexadecimal digits, or null until `fetch --record` writes them"""
    authors: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """the names of the authors as a list of strings"""
    year: int | None = None
    """the year of the first version as a number"""
    licence: str | None = None
    """the licence as a string"""
    note: str | None = None
    """a remark for people as a string"""

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        given = [key for key in SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"it has {' and '.join(given) or 'no source'} → give exactly one of "
                f"{', '.join(SOURCES)}"
            )
        return self

    @property
    def file_name(self) -> str:
        """The name of the PDF in the folder of papers."""
        return f"{self.name}.pdf"

    @property
    def source(self) -> tuple[str, str]:
        """The key that says where the paper comes from, and its value."""
        return next((key, value) for key in SOURCES if (value := getattr(self, key)) is not None)


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
        raise InputError(f"{path} is not a list", remedy="put the entries between [ and ]")
    papers = [checked(f"{path}, entry {n}", entry) for n, entry in enumerate(entries, 1)]
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
            {key: value for key, value in asdict(paper).items() if value or key in ALWAYS}
            for paper in papers
        ],
    )


def checked(where: str, entry: object) -> Paper:
    """Return the entry as a paper; ``InputError`` names ``where`` it is and each wrong key."""
    if not isinstance(entry, dict):
        raise InputError(
            f"{where} is not an object",
            remedy='write {"name": …, "title": …, "field": …, "url": …}',
        )
    try:
        return Paper(**entry)
    except ValidationError as error:
        name = f" ({entry['name']!r})" if isinstance(entry.get("name"), str) else ""
        # a misspelt key first: it is why another one is missing
        found = sorted(
            error.errors(include_url=False), key=lambda one: "unexpected" not in one["type"]
        )
        faults = "; ".join(_fault(one) for one in found)
        raise InputError(f"{where}{name}: {faults}") from None


def _fault(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """Return one thing that is wrong with an entry, and what to do."""
    if "error" in error.get("ctx", {}):  # from one of the functions above
        return str(error["ctx"]["error"])
    key, keys = str(error["loc"][0]), TypeAdapter(Paper).json_schema()["properties"]
    if key not in keys:
        close = get_close_matches(key, keys, n=1)
        guess = f"did you mean {close[0]!r}?" if close else f"use {', '.join(keys)}"
        return f"the key {key!r} is unknown → {guess}"
    what = "is missing" if error["type"] == "missing" else f"is {json.dumps(error['input'])}"
    return f"{key} {what} → give {keys[key]['description']}"
