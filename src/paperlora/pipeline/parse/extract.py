"""Extract the text of one PDF in a child process.

A PDF can make its reader loop forever (CVE-2023-36464 in PyPDF2), fill the memory or crash. So
``extract`` starts this module as a child with a time and a memory limit. The child prints one JSON
object ``{"pages": [text, …], "title": text}``, or ends with the reason on the last line of stderr.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperlora import process
from paperlora.errors import DAMAGED, EnvironmentNotVerifiedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEEDS_PASSWORD = "encrypted: it needs a password"  # noqa: S105 - a reason, not a password
_PDFIUM_LINE_HYPHEN = "\ufffe"
_PDFIUM_PASSWORD_ERROR = "Incorrect password"  # noqa: S105 - PDFium's message
# The loader of shared libraries has its own words for it, in an ImportError or OSError.
_NO_MEMORY = re.compile("^MemoryError|failed to map segment|Cannot allocate memory")
# Only at the start of the line: the rest can be text from a PDF. The prefix is Python's own, when it
# does not find this module; the OSError is that of a shared library which is damaged.
_CANNOT_IMPORT = re.compile(
    r"(?:\S+: Error while finding module specification.*\()?(?:ModuleNotFound|Import)Error: "
    r"|OSError: \S+\.so[\d.]*: "
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The wall time and the address space that one extraction may use."""

    seconds: float
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """The text of each page in order, or a ``fault``: one line on why there is none."""

    pages: tuple[str, ...] = ()
    title: str = ""
    fault: str = ""


def extract(path: Path, extractor: str, limits: Limits) -> Extracted:
    """Run ``extractor`` ("pypdf2" or "pdfium") on the PDF ``path`` in a child process.

    Whatever is wrong with the PDF becomes the ``fault`` of the result. Raises
    ``EnvironmentNotVerifiedError`` when the child cannot import its libraries.
    """
    command = [sys.executable, "-m", __name__, extractor, str(path)]
    finished = process.run(command, timeout=limits.seconds, memory_bytes=limits.memory_bytes)
    if finished.timed_out:
        return Extracted(fault=f"not parsed within {limits.seconds:g} s")
    if finished.code != 0:
        return Extracted(fault=_fault(finished, limits))
    found = json.loads(finished.stdout)
    return Extracted(pages=tuple(found["pages"]), title=found["title"])


def _fault(finished: process.Finished, limits: Limits) -> str:
    """Return one line on why the child failed."""
    last = (finished.stderr.strip().splitlines() or [""])[-1]
    if _NO_MEMORY.search(last):
        return f"needs more than {limits.memory_bytes / 2**20:.0f} MiB of memory"
    if _CANNOT_IMPORT.match(last):
        raise EnvironmentNotVerifiedError(f"no PDF can be read: {last}", remedy=DAMAGED)
    if _PDFIUM_PASSWORD_ERROR in last:
        return NEEDS_PASSWORD
    if finished.code < 0:
        return f"the extractor was killed by signal {-finished.code}"
    # "PyPDF2.errors.PdfReadError: reason" without the module names; warnings stay as they are.
    kind, _, rest = last.partition(": ")
    return f"{kind.rpartition('.')[2]}: {rest}" if rest and " " not in kind else last


def _with_pypdf2(path: str) -> Extracted:
    """Read with PyPDF2, the extractor of the source paper."""
    from PyPDF2 import PdfReader  # noqa: PLC0415 - only the child needs it

    reader = PdfReader(path)
    # Many papers have an empty user password, which every reader tries first.
    if reader.is_encrypted and not reader.decrypt(""):
        sys.exit(NEEDS_PASSWORD)
    metadata = reader.metadata
    pages = tuple(page.extract_text() for page in reader.pages)
    return Extracted(pages=pages, title=(metadata and metadata.title) or "")


def _with_pdfium(path: str) -> Extracted:
    """Read with PDFium; replace its mark for a word broken at a line end by a hyphen and a newline.

    ``get_text_bounded`` would join those words itself, also "high-level" to "highlevel".
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
    # The ASCII escapes of json.dump can hold the lone surrogates that a broken font map yields.
    json.dump({"pages": found.pages, "title": found.title}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
