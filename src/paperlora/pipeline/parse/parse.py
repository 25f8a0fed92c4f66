"""Run the ``parse`` command: turn a folder of PDFs into ``documents.jsonl`` and ``parse.json``.

A child reads each paper. This process hashes the files, stores what the children found and joins
it, so it needs little memory for any number of papers. A paper that cannot be used is rejected with
a reason; the other papers are parsed all the same.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from paperlora.errors import DataError, InputError
from paperlora.files import sha256_file, sha256_json, write_json
from paperlora.pipeline.parse import cache
from paperlora.pipeline.parse.duplicates import near_duplicates
from paperlora.pipeline.parse.pool import Paper, read_papers, shown, skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from paperlora.pipeline.config import CorpusConfig
    from paperlora.pipeline.parse.outcome import Outcome
    from paperlora.pipeline.parse.shard import Shard

_REMEDY = (
    "put PDFs with a text layer into that folder, or download some: `env/nox -s fetch -- --help`"
)


def command(
    papers: Path,
    run: Path,
    *,
    known: Iterable[Mapping[str, Any]],
    config: CorpusConfig,
    shard: Shard | None = None,
    again: bool = False,
) -> None:
    """Parse every PDF of the folder ``papers``; write the documents and the summary to ``run``.

    ``known`` is the list of papers: entries with "name" and, where known, "title", "field" and
    "sha256". Papers that an earlier run of the command read are not read again, unless ``again``
    is true. With ``shard``, only that part is read, and no documents are written: the command
    without ``shard`` joins all parts. Equal input gives equal output, byte for byte.

    Raises ``InputError`` for a folder that is missing or has no PDF, ``DataError`` when no paper
    can be used.
    """
    files = [path for path in list_papers(papers) if shard is None or path in shard]
    entries = {f"{entry['name']}.pdf": entry for entry in known}
    reasons: dict[str, str] = {}
    digests = _digests(files, entries, reasons)
    wanted = [
        _paper(path, digests[path.name], entries.get(path.name, {}), config)
        for path in files
        if _writable(path.name) not in reasons
    ]
    if again:
        for paper in wanted:
            cache.forget(run, paper.key)
    outcomes = read_papers(run, wanted, config)
    reasons |= {name: found.reason for name, found in outcomes.items() if found.reason}
    alike = [] if shard else _near_duplicates(wanted, outcomes, reasons, config)
    accepted = [paper for paper in wanted if paper.path.name not in reasons]
    if shard is None:
        if not accepted:
            some = "; ".join(f"{shown(name)}: {why}" for name, why in list(reasons.items())[:3])
            message = f"none of the {len(files)} PDFs in {papers} can be used ({some})"
            raise DataError(message, remedy=_REMEDY)
        cache.join(run, [paper.key for paper in accepted], run / "documents.jsonl")
        rejected = [{"file": file, "reason": reason} for file, reason in sorted(reasons.items())]
        summary: dict[str, Any] = {"papers_dir_digest": sha256_json(digests), "rejected": rejected}
        summary["near_duplicates"] = alike
        write_json(run / "parse.json", summary)
        cache.prune(run, {paper.key for paper in wanted})
    part = f"part {shard}: " if shard else ""
    print(f"parse: {part}{len(accepted)} accepted, {len(reasons)} rejected", file=sys.stderr)


def list_papers(papers: Path) -> list[Path]:
    """Return the PDFs of the folder ``papers``, sorted by name without suffix.

    Raises ``InputError`` when the folder does not exist or has no PDF.
    """
    if not papers.is_dir():
        what = "is not a folder" if papers.exists() else "does not exist"
        raise InputError(f"the folder of papers {papers} {what}", remedy=_REMEDY)
    files = [path for path in papers.iterdir() if path.suffix.lower() == ".pdf"]
    if not files:
        raise InputError(f"no *.pdf in the folder of papers {papers}", remedy=_REMEDY)
    return sorted(files, key=lambda path: (path.stem, path.name))


def _digests(
    files: Iterable[Path], entries: Mapping[str, Mapping[str, Any]], reasons: dict[str, str]
) -> dict[str, str]:
    """Return file name → SHA-256; reject what is unreadable, a duplicate or not as listed."""
    digests: dict[str, str] = {}
    first: dict[str, str] = {}
    stems: set[str] = set()
    for path in files:
        if path.name != _writable(path.name):
            _reject(path, "its name is not valid UTF-8 → rename it", reasons)
            continue
        if not path.is_file():  # reading a pipe would never end
            _reject(path, "it is not a regular file → remove it", reasons)
            continue
        try:
            digest = sha256_file(path)
        except OSError as error:
            _reject(path, f"cannot be read: {error.strerror} → check its permissions", reasons)
            continue
        digests[path.name] = digest
        wanted = entries.get(path.name, {}).get("sha256")
        if wanted and wanted != digest:
            reason = f"SHA-256 is {digest[:12]}…, the list of papers has {wanted[:12]}…"
            _reject(path, f"{reason} → fetch it again, or correct the list", reasons)
        elif digest in first:
            _reject(path, f"the same file as {first[digest]} → remove one of the two", reasons)
        elif path.stem in stems:  # "a.PDF" beside "a.pdf": the documents need one name each
            _reject(path, f"another file is also named {path.stem} → rename one", reasons)
        first.setdefault(digest, path.name)
        stems.add(path.stem)
    return digests


def _reject(path: Path, reason: str, reasons: dict[str, str]) -> None:
    """Print that a paper is skipped, and add the reason to ``reasons``."""
    skip(path.name, reason)
    reasons[_writable(path.name)] = reason


def _writable(name: str) -> str:
    """Return a file name with ``?`` for each byte that is not valid UTF-8."""
    return name.encode(errors="replace").decode()


def _paper(path: Path, digest: str, entry: Mapping[str, Any], config: CorpusConfig) -> Paper:
    used = {name: entry.get(name) for name in ("title", "authors", "field")}
    key = cache.key(path.name, digest, used, config)
    return Paper(path=path, sha256=digest, entry=used, key=key)


def _near_duplicates(
    papers: Iterable[Paper],
    outcomes: Mapping[str, Outcome],
    reasons: dict[str, str],
    config: CorpusConfig,
) -> list[dict[str, Any]]:
    """Return the papers that resemble an earlier one, and print them; reject them if asked to."""
    names = [paper.path.name for paper in papers if paper.path.name not in reasons]
    found = []
    for name, other, share in near_duplicates({name: outcomes[name].sketch for name in names}):
        found.append({"file": name, "like": other, "share": round(share, 2)})
        what = (
            f"has nearly the same text as {other} ({share:.0%} of the five-word runs are in both)"
        )
        if config.near_duplicates == "reject":
            reasons[name] = f"{what} → remove one of the two"
            skip(name, reasons[name])
        else:
            remedy = "remove one of the two, or set corpus.near_duplicates=reject"
            print(f"note: {shown(name)} {what} → {remedy}", file=sys.stderr)
    return found
