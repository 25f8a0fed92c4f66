"""Take the text out of one PDF, in a process of its own.

A PDF is somebody else's program for somebody else's reader: it may loop for ever (CVE-2023-36464
in PyPDF2), fill the memory or crash the library. So ``extract`` starts this module as a child with
a time and a memory limit; the child prints one JSON object ``{"pages": [text, …], "title": text}``,
or dies with the reason on the last line of stderr.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperlora import process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEEDS_PASSWORD = "encrypted: it needs a password"  # noqa: S105 - a reason, not a password
_PDFIUM_LINE_HYPHEN = "\ufffe"
_PDFIUM_PASSWORD_ERROR = "Incorrect password"  # noqa: S105 - PDFium's message


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """What an extractor made of a PDF: one text per page in order, or a ``fault`` in one line."""

    pages: tuple[str, ...] = ()
    title: str = ""
    fault: str = ""


def extract(path: Path, extractor: str, *, timeout: float, memory_bytes: int) -> Extracted:
    """Run ``extractor`` ("pypdf2" or "pdfium") over the PDF ``path`` in a child process.

    ``timeout`` is in seconds of wall time; ``memory_bytes`` bounds the child's address space.
    Never raises for what the PDF does: the ``fault`` says it.
    """
    command = [sys.executable, "-m", __name__, extractor, str(path)]
    finished = process.run(command, timeout=timeout, memory_bytes=memory_bytes)
    if finished.timed_out:
        return Extracted(fault=f"not parsed within {timeout:g} s")
    if finished.code != 0:
        return Extracted(fault=_fault(finished, memory_bytes))
    found = json.loads(finished.stdout)
    return Extracted(pages=tuple(found["pages"]), title=found["title"])


def _fault(finished: process.Finished, memory_bytes: int) -> str:
    """Say in one line why the child ended badly."""
    lines = finished.stderr.strip().splitlines() or [""]
    if lines[-1].startswith("MemoryError"):
        return f"needs more than {memory_bytes / 2**20:.0f} MiB of memory"
    if _PDFIUM_PASSWORD_ERROR in lines[-1]:
        return NEEDS_PASSWORD
    if finished.code < 0:
        return f"the extractor was killed by signal {-finished.code}"
    kind, _, rest = lines[-1].partition(": ")
    return f"{kind.rpartition('.')[2]}: {rest}" if rest and " " not in kind else lines[-1]


def _with_pypdf2(path: str) -> Extracted:
    """Read with PyPDF2, the extractor of the source paper."""
    from PyPDF2 import PdfReader  # noqa: PLC0415 - only the child needs it

    reader = PdfReader(path)
    if reader.is_encrypted and not reader.decrypt(""):
        sys.exit(NEEDS_PASSWORD)
    metadata = reader.metadata
    pages = tuple(page.extract_text() for page in reader.pages)
    return Extracted(pages=pages, title=(metadata and metadata.title) or "")


def _with_pdfium(path: str) -> Extracted:
    """Read with PDFium; its mark for a word broken at a line's end becomes a hyphen and a newline.

    (``get_text_bounded`` would join those words itself, "high-level" to "highlevel" included.)
    """
    from pypdfium2 import PdfDocument  # noqa: PLC0415 - only the child needs it

    document = PdfDocument(path)
    pages = [page.get_textpage().get_text_range() for page in document]
    return Extracted(
        pages=tuple(page.replace(_PDFIUM_LINE_HYPHEN, "-\n") for page in pages),
        title=document.get_metadata_value("Title"),
    )


EXTRACTORS: dict[str, Callable[[str], Extracted]] = {
    "pypdf2": _with_pypdf2,
    "pdfium": _with_pdfium,
}


def main(extractor: str, path: str) -> None:
    """Print what ``extractor`` finds in ``path``, as JSON."""
    found = EXTRACTORS[extractor](path)
    # ASCII escapes carry even the lone surrogates that a broken font map yields.
    json.dump({"pages": found.pages, "title": found.title}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
