"""Reads what reference managers export: BibTeX and CSL JSON, with the attached files.

Zotero writes the attachments of a BibTeX entry into its field ``file``, as
``description:path:type``, several with ``;`` between them. CSL JSON has no such field: there the
PDFs of the folder are matched with the titles by their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paperlora.errors import InputError
from paperlora.pipeline.fetch import lookup
from paperlora.pipeline.fetch.identify import identify, slug

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pybtex.database import Entry

SHORTEST = 12  # letters of a title that a file name must have to belong to it
_ARXIV_NOTE = re.compile(r"\barXiv:\s*([a-zA-Z.-]*/?[0-9.]+(?:v[0-9]+)?)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One entry of a bibliography."""

    key: str
    """What the bibliography calls it."""
    title: str
    authors: tuple[str, ...]
    year: int | None
    ids: tuple[tuple[str, str], ...]
    """Where it is published, the best first: pairs of ``arxiv``, ``doi`` or ``url`` and a value."""
    files: tuple[Path, ...]
    """The PDFs attached to it; they may be missing."""


def bibtex(text: str, folder: Path) -> tuple[list[Reference], list[str]]:
    """Return the entries of a BibTeX file, and what in it could not be read.

    The paths of attachments are relative to ``folder``.
    """
    from pybtex import errors  # noqa: PLC0415 - slow, and few lists need it
    from pybtex.database.input.bibtex import Parser  # noqa: PLC0415

    with errors.capture() as problems:
        entries = Parser().parse_string(text).entries
    references = [_from_bibtex(key, entry, folder) for key, entry in entries.items()]
    return references, [str(problem) for problem in problems]


def _from_bibtex(key: str, entry: Entry, folder: Path) -> Reference:
    fields = entry.fields
    people = entry.persons.get("author", ())
    names = [
        " ".join(
            (*p.first_names, *p.middle_names, *p.prelast_names, *p.last_names, *p.lineage_names)
        )
        for p in people
    ]
    year = re.search(r"\b[0-9]{4}\b", fields.get("year") or fields.get("date") or "")
    eprint = fields.get("eprint", "")
    if "arxiv" in (fields.get("archiveprefix") or fields.get("eprinttype") or "").lower():
        eprint = f"arXiv:{eprint}"
    note = _ARXIV_NOTE.search(f"{fields.get('note', '')} {fields.get('journal', '')}")
    texts = (eprint, f"arXiv:{note[1]}" if note else "", fields.get("doi", ""), _url(fields))
    return Reference(
        key=key,
        title=_unicode(fields.get("title", "")),
        authors=tuple(_unicode(name) for name in names),
        year=int(year[0]) if year else None,
        ids=_ids(texts),
        files=tuple(_attachments(fields.get("file", ""), folder)),
    )


def _url(fields: Any) -> str:  # noqa: ANN401 - pybtex's own mapping
    found = re.search(r"https?://[^\s{}]+", fields.get("url") or fields.get("howpublished") or "")
    return found[0].replace("\\", "") if found else ""


def _unicode(latex: str) -> str:
    """Return the text of a BibTeX value; where its LaTeX has an error, without braces only."""
    from pybtex.exceptions import PybtexError  # noqa: PLC0415
    from pybtex.richtext import Text  # noqa: PLC0415

    try:
        text = str(Text.from_latex(latex))
    except (PybtexError, ValueError, RecursionError):
        text = latex
    return lookup.plain(re.sub(r"\\[a-zA-Z]+ ?|[{}]", "", text))


def _attachments(field: str, folder: Path) -> Iterator[Path]:
    """Yield the PDFs of the field ``file``; a backslash takes away the meaning of ``:`` and ``;``."""
    for one in _split(field, ";"):
        parts = [re.sub(r"\\(.)", r"\1", part) for part in _split(one, ":")]
        path, kind = (parts[-2], parts[-1]) if len(parts) > 2 else (parts[-1], "")
        if path.lower().endswith(".pdf") or kind == lookup.PDF:
            yield folder / path.strip().removeprefix("file://")


def _split(text: str, mark: str) -> list[str]:
    return re.split(rf"(?<!\\){mark}", text)


def csl(items: Sequence[Any], pdfs: Sequence[Path]) -> tuple[list[Reference], list[str]]:
    """Return the entries of a CSL JSON file with their PDFs, and what could not be used.

    Raises ``InputError`` for an item that is not CSL JSON.
    """
    names = {pdf: slug(pdf.stem) for pdf in pdfs}
    references = [_from_csl(number, item, names) for number, item in enumerate(items, 1)]
    used = {pdf for one in references for pdf in one.files}
    return references, [
        f"{pdf.name} belongs to no entry by its name" for pdf in pdfs if pdf not in used
    ]


def _from_csl(number: int, item: Any, names: dict[Path, str]) -> Reference:  # noqa: ANN401
    try:
        found = lookup.csl(item)
        note = _ARXIV_NOTE.search(f"{item.get('number')} {item.get('note')}")
        texts = (f"arXiv:{note[1]}" if note else "", item.get("DOI"), item.get("URL"))
        key = str(item.get("citation-key") or found.title or item.get("id"))
        ids = _ids(texts)
    except (AttributeError, TypeError, ValueError, KeyError, IndexError):
        raise InputError(
            f"entry {number} is not an item of CSL JSON: {str(item)[:60]}",
            remedy="export the library again",
        ) from None
    title = slug(found.title)
    files = [pdf for pdf, name in names.items() if _belongs(name, title)]
    return Reference(
        key=key,
        title=found.title,
        authors=found.authors,
        year=found.year,
        ids=ids,
        files=tuple(files),
    )


def _belongs(name: str, title: str) -> bool:
    """Return whether a file has the name that Zotero gives it: "authors - year - title"."""
    tail = re.sub(r"^.*?-(?:1[89]|20)[0-9]{2}-", "", name)
    return title in {name, tail} or (len(tail) >= SHORTEST and title.startswith(tail))


def _ids(texts: Iterable[str | None]) -> tuple[tuple[str, str], ...]:
    found = [one for text in texts if text and (one := identify(text))]
    order = ("arxiv", "doi", "url")
    return tuple(sorted(dict.fromkeys(found), key=lambda one: order.index(one[0])))
