"""Extract the text of one PDF with PyPDF2 or PDFium.

A PDF can make its reader loop forever (CVE-2023-36464 in PyPDF2), fill the memory or crash, so this
runs in a bounded child (``child``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyPDF2 import PdfReader
from pypdfium2 import PdfDocument

from paperlora.pipeline.parse.rejected import RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEEDS_PASSWORD = "encrypted: it needs a password"  # noqa: S105 - a reason, not a password
_PDFIUM_LINE_HYPHEN = "\ufffe"
_PDFIUM_PASSWORD_ERROR = "Incorrect password"  # noqa: S105 - PDFium's message


def extract(path: Path, extractor: str) -> tuple[list[str], str]:
    """Return the text of each page and the title of a PDF; ``extractor`` is one of ``EXTRACTORS``.

    Raises ``RejectedError`` when the extractor cannot read the PDF.
    """
    try:
        pages, title = EXTRACTORS[extractor](path)
    except (RejectedError, ImportError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - a damaged PDF can raise any error in its reader
        if _PDFIUM_PASSWORD_ERROR in str(error):
            raise RejectedError(NEEDS_PASSWORD) from None
        raise RejectedError(f"{type(error).__name__}: {error}") from None
    return pages, title if isinstance(title, str) else ""


def _with_pypdf2(path: Path) -> tuple[list[str], object]:
    """Read with PyPDF2, the extractor of the source paper."""
    reader = PdfReader(path)
    # Many papers have an empty user password, which every reader tries first.
    if reader.is_encrypted and not reader.decrypt(""):
        raise RejectedError(NEEDS_PASSWORD)
    metadata = reader.metadata
    pages = [page.extract_text() for page in reader.pages]
    return pages, metadata and metadata.title


def _with_pdfium(path: Path) -> tuple[list[str], object]:
    """Read with PDFium; replace its mark for a word broken at a line end by a hyphen and a newline.

    ``get_text_bounded`` would join those words itself, also "high-level" to "highlevel".
    """
    document = PdfDocument(path)
    pages = [page.get_textpage().get_text_range() for page in document]
    return (
        [page.replace(_PDFIUM_LINE_HYPHEN, "-\n") for page in pages],
        document.get_metadata_value("Title"),
    )


EXTRACTORS: dict[str, Callable[[Path], tuple[list[str], object]]] = {
    "pypdf2": _with_pypdf2,
    "pdfium": _with_pdfium,
}
