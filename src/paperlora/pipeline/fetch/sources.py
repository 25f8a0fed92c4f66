"""Reads what `--list` names: a list of any kind, or a folder, and makes a list of papers from it.

A list is JSON (``paper_list``), text with an identifier a line, BibTeX or CSL JSON. A folder holds
PDFs, or is what a reference manager exported: one ``.bib`` or ``.json`` file, and the attachments.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paperlora.errors import DataError, InputError, PaperloraError
from paperlora.files import ROOT
from paperlora.pipeline.fetch import bibliography, paper_list
from paperlora.pipeline.fetch.identify import address_slug, identify, slug, unique
from paperlora.pipeline.fetch.paper_list import Paper

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from paperlora.pipeline.fetch.bibliography import Reference

SHIPPED = {"source-papers": ROOT / "lockfiles" / "source-papers.json"}
"""The lists that ship, by the name that `--list` takes."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a list has."""

    path: Path
    papers: list[Paper]
    files: Mapping[str, Path] = field(default_factory=dict)
    """Name of a paper → its PDF on this machine."""
    failures: Mapping[str, PaperloraError] = field(default_factory=dict)
    """Name of an entry that cannot be fetched → why."""
    remarks: tuple[str, ...] = ()
    """What was not understood or not used."""
    recordable: bool = False
    """Whether it is a list of our own kind, which can keep hashes."""


def read(source: str) -> Listed:
    """Read the list that ``source`` names: one that ships, or a path.

    Raises ``InputError``.
    """
    path = SHIPPED.get(source, Path(source))
    if path.is_dir():
        exported = [one for one in sorted(path.iterdir()) if _is_bibliography(one)]
        return _bibliography(exported[0]) if len(exported) == 1 else _folder(path)
    if _is_bibliography(path):
        return _bibliography(path)
    if path.is_file() and path.suffix.lower() != ".json" and _text(path)[:1] not in {"[", "{"}:
        return _identifiers(path)
    if not path.exists() and (close := get_close_matches(source, SHIPPED, n=1)):
        raise InputError(
            f"cannot read the list of papers {source}: there is no such file",
            remedy=f"did you mean {close[0]!r}?",
        )
    return Listed(path=path, papers=paper_list.read(path), recordable=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"cannot read the list of papers {path}: {error.strerror}", remedy="correct --list"
        ) from None
    except ValueError:
        raise InputError(f"{path} is not UTF-8 text", remedy="save it as UTF-8") from None


def _items(path: Path) -> list[Any] | None:
    """Return the items of a CSL JSON file, or None when it is not one."""
    try:
        items = json.loads(_text(path))
    except (InputError, ValueError, RecursionError):
        return None
    first = items[0] if isinstance(items, list) and items else None
    return items if isinstance(first, dict) and "type" in first and "name" not in first else None


def _is_bibliography(path: Path) -> bool:
    suffix = path.suffix.lower()
    return path.is_file() and (suffix == ".bib" or (suffix == ".json" and bool(_items(path))))


def _bibliography(path: Path) -> Listed:
    items = _items(path) if path.suffix.lower() == ".json" else None
    if items is None:
        references, remarks = bibliography.bibtex(_text(path), path.parent)
    else:
        try:
            references, remarks = bibliography.csl(items, pdfs(path.parent))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    papers, files, failures = [], {}, {}
    for name, reference in zip(
        unique(slug(one.key) for one in references), references, strict=True
    ):
        present = [pdf for pdf in reference.files if pdf.is_file()]
        if not present and not reference.ids:
            failures[name] = _nothing(reference)
            continue
        try:
            papers.append(_paper(name, reference, has_file=bool(present)))
        except InputError as error:
            failures[name] = DataError(str(error))
            continue
        if reference.files and not present:
            remarks.append(f"{name}: its file {reference.files[0]} is missing, so it is downloaded")
        if present:
            files[name] = present[0]
            remarks += [
                f"{name}: {pdf.name} is not used, only the first PDF" for pdf in present[1:]
            ]
    return Listed(path=path, papers=papers, files=files, failures=failures, remarks=tuple(remarks))


def _nothing(reference: Reference) -> DataError:
    what = f"its file {reference.files[0]} is missing" if reference.files else "it has no PDF"
    return DataError(
        f"{reference.title or reference.key}: {what}, and no arXiv identifier, DOI or address",
        remedy="attach the PDF and export again with files, or add one of these",
    )


def _paper(name: str, reference: Reference, *, has_file: bool) -> Paper:
    key, value = ("file", f"{name}.pdf") if has_file else reference.ids[0]
    entry = {"name": name, "title": reference.title, "field": "", key: value}
    more = {"authors": reference.authors, "year": reference.year}
    return paper_list.checked(f"entry {reference.key}", entry | more)


def _identifiers(path: Path) -> Listed:
    """Read a text file with an arXiv identifier, a DOI or a URL a line."""
    found: dict[tuple[str, str], int] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        # A URL may contain "#", so only what follows a space is a comment.
        text = text.partition(" #")[0].strip()
        if not (one := identify(text)):
            raise InputError(
                f"{path}, line {number}: {text[:80]!r} is not an arXiv identifier, a DOI or a URL",
                remedy="correct it, or begin the line with # to make it a comment",
            )
        found.setdefault(one, number)
    names = unique(address_slug(v) if key == "url" else slug(v) for key, v in found)
    papers = [
        paper_list.checked(
            f"{path}, line {number}", {"name": name, "title": "", "field": "", key: value}
        )
        for name, ((key, value), number) in zip(names, found.items(), strict=True)
    ]
    return Listed(path=path, papers=papers)


def pdfs(folder: Path) -> list[Path]:
    """Return the PDFs of a folder and of the folders in it, without hidden ones, in their order."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() == ".pdf"
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _folder(folder: Path) -> Listed:
    paths = pdfs(folder)
    if not paths:
        raise InputError(f"{folder} has no PDF", remedy="name a folder of PDFs with --list")
    own = folder / paper_list.LIST_NAME  # of a folder that `fetch` made
    known = {paper.file_name: paper for paper in paper_list.read(own)} if own.is_file() else {}
    files = dict(zip(unique(_names(folder, paths)), paths, strict=True))
    papers = []
    for name, path in files.items():
        paper = known.get(path.name) or Paper(name=name, title="", field="", file=f"{name}.pdf")
        local = replace(paper, name=name, url=None, arxiv=None, doi=None, file=f"{name}.pdf")
        papers.append(local)
    return Listed(path=folder, papers=papers, files=files)


def _names(folder: Path, paths: Iterable[Path]) -> Iterable[str]:
    """Return a name for each PDF: that of the file, or its whole path where two files share one."""
    short = [slug(path.stem) for path in paths]
    count = Counter(short)
    for path, name in zip(paths, short, strict=True):
        whole = str(path.relative_to(folder).with_suffix(""))
        yield name if count[name] == 1 else slug(whole)
