"""Read PDFs in four ways that can be compared: this project, poppler, pypdf and plain PDFium.

The last three give text only. Their lines are joined here, with the same rule for all of them, so
that a word that a line end cuts counts for none of them as damaged.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paperlora.files import sha256_file
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse.document import read_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from pathlib import Path

_TIMEOUT = 300  # seconds
_CUT = re.compile(r"([^\W\d_]+)[-\u00ad\u2010\ufffe]\s*\n\s*([^\W\d_]+)")
_NO_PROSE = {"", "abstract", "references", "bibliography"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one reader made of one PDF."""

    paragraphs: list[str] = field(default_factory=list)
    title: str | None = None
    """None: the reader looks for no title and no headings."""
    headings: list[str] = field(default_factory=list)
    seconds: float = 0
    fault: str = ""
    """Why there is no text."""


def missing() -> dict[str, str]:
    """Return the readers that cannot run here, with what to install."""
    found = {}
    if shutil.which("pdftotext") is None:
        found["poppler"] = "pdftotext is not installed → apt-get install poppler-utils"
    try:
        import pypdf  # noqa: F401
    except ModuleNotFoundError:
        found["pypdf"] = (
            "pypdf is not installed → pip install pypdf, and add its folder to PYTHONPATH"
        )
    return found


def read_all(path: Path, known: AbstractSet[str]) -> dict[str, Reading]:
    """Return reader → what it reads in the PDF at ``path``; ``known`` holds English words."""
    away = missing()
    texts: dict[str, Callable[[Path], str]] = {
        "poppler": _poppler,
        "pypdf": _pypdf,
        "pdfium": _pdfium,
    }
    readings = {"paperlora": _paperlora(path)}
    for name, reader in texts.items():
        if name not in away:
            start = time.perf_counter()
            text = reader(path)
            seconds = time.perf_counter() - start
            readings[name] = Reading(paragraphs=blocks(text, known), seconds=seconds)
    return readings


def blocks(text: str, known: AbstractSet[str]) -> list[str]:
    """Return the blocks that empty lines or page ends separate, each with its lines joined."""
    text = unicodedata.normalize("NFKC", text.replace("\r\n", "\n").replace("\r", "\n"))
    own = set(re.findall(r"[^\W\d_]+", text.lower()))

    def join(match: re.Match[str]) -> str:
        one, other = match[1], match[2]
        whole = (one + other).lower()
        parts = all(half.lower() in known for half in (one, other))
        apart = whole not in known and whole not in own and parts
        return f"{one}-{other}" if apart else one + other

    # A cut word may go on behind the end of a page: join first, and then separate the blocks.
    text = _CUT.sub(join, text)
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n|\f", text) if block.strip()]


def _paperlora(path: Path) -> Reading:
    digest = sha256_file(path)
    start = time.perf_counter()
    try:
        row = read_document(path, sha256=digest, entry={}, config=CorpusConfig())
    except Exception as fault:  # noqa: BLE001 - a paper that cannot be read is a row of the table
        return Reading(fault=f"{type(fault).__name__}: {fault}")
    seconds = time.perf_counter() - start
    sections = [heading["text"] for heading in row["headings"]]
    return Reading(
        paragraphs=[unicodedata.normalize("NFKC", part["text"]) for part in row["paragraphs"]],
        title=row["title"],
        headings=[name for name in sections if name.lower() not in _NO_PROSE],
        seconds=seconds,
    )


def _poppler(path: Path) -> str:
    command = ["pdftotext", "-enc", "UTF-8", str(path), "-"]
    done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=True)
    return done.stdout.decode("utf-8", "replace")


def _pypdf(path: Path) -> str:
    import pypdf

    return "\f".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def _pdfium(path: Path) -> str:
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    # A hyphen at a line end comes as U+FFFE, without the line end.
    return "\f".join(
        page.get_textpage().get_text_range().replace("\ufffe", "\ufffe\n") for page in document
    )
