"""Extract the text of one PDF in a child process.

A PDF can make its reader loop forever (CVE-2023-36464 in PyPDF2), fill the memory or crash. So
``extract`` starts this module as a child with a time and a memory limit. The child prints one JSON
object ``{"pages": [text, …], "title": text}``, or ends with the reason on the last line of stderr.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

from paperlora import process
from paperlora.errors import DAMAGED, EnvironmentNotVerifiedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paperlora.pipeline.config import CorpusConfig

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


class RejectedError(Exception):
    """A paper cannot be used; the message is the reason, in one line."""


def extract(path: Path, extractor: str, config: CorpusConfig) -> tuple[list[str], str]:
    """Return the text of each page and the title of a PDF, read in a child process.

    ``extractor`` is one of ``EXTRACTORS``. Raises ``RejectedError`` for whatever is wrong with the
    PDF, ``EnvironmentNotVerifiedError`` when the child cannot import its libraries.
    """
    command = [sys.executable, "-m", __name__, extractor, str(path)]
    finished = process.run(
        command, timeout=config.timeout_seconds, memory_bytes=config.memory_mib * 2**20
    )
    if finished.timed_out:
        raise RejectedError(f"not parsed within {config.timeout_seconds:g} s")
    if finished.code != 0:
        raise RejectedError(_fault(finished, config.memory_mib))
    found = json.loads(finished.stdout)
    return found["pages"], found["title"]


def _fault(finished: process.Finished, memory_mib: int) -> str:
    """Return one line on why the child failed."""
    last = (finished.stderr.strip().splitlines() or [""])[-1]
    if _NO_MEMORY.search(last):
        return f"needs more than {memory_mib} MiB of memory"
    if _CANNOT_IMPORT.match(last):
        raise EnvironmentNotVerifiedError(f"no PDF can be read: {last}", remedy=DAMAGED)
    if _PDFIUM_PASSWORD_ERROR in last:
        return NEEDS_PASSWORD
    if finished.code < 0:
        return f"the extractor was killed by signal {-finished.code}"
    # "PyPDF2.errors.PdfReadError: reason" without the module names; warnings stay as they are.
    kind, _, rest = last.partition(": ")
    return f"{kind.rpartition('.')[2]}: {rest}" if rest and " " not in kind else last


def _with_pypdf2(path: str) -> tuple[list[str], str]:
    """Read with PyPDF2, the extractor of the source paper."""
    from PyPDF2 import PdfReader  # noqa: PLC0415 - only the child needs it

    reader = PdfReader(path)
    # Many papers have an empty user password, which every reader tries first.
    if reader.is_encrypted and not reader.decrypt(""):
        sys.exit(NEEDS_PASSWORD)
    metadata = reader.metadata
    pages = [page.extract_text() for page in reader.pages]
    return pages, (metadata and metadata.title) or ""


def _with_pdfium(path: str) -> tuple[list[str], str]:
    """Read with PDFium; replace its mark for a word broken at a line end by a hyphen and a newline.

    ``get_text_bounded`` would join those words itself, also "high-level" to "highlevel".
    """
    from pypdfium2 import PdfDocument  # noqa: PLC0415 - only the child needs it

    document = PdfDocument(path)
    pages = [page.get_textpage().get_text_range() for page in document]
    return (
        [page.replace(_PDFIUM_LINE_HYPHEN, "-\n") for page in pages],
        document.get_metadata_value("Title"),
    )


EXTRACTORS: dict[str, Callable[[str], tuple[list[str], str]]] = {
    "pypdf2": _with_pypdf2,
    "pdfium": _with_pdfium,
}


if __name__ == "__main__":
    pages, title = EXTRACTORS[sys.argv[1]](sys.argv[2])
    # The ASCII escapes of json.dump can hold the lone surrogates that a broken font map yields.
    json.dump({"pages": pages, "title": title}, sys.stdout)
