"""Small PDFs made on the fly: raw ones written by hand, an encrypted one, broken ones."""

from __future__ import annotations

import io
import random
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A paper of two pages: running header, page numbers, broken words, headings, a reference list.
PAPER = [
    [
        "A Journal of Small Things, volume 7",
        "On the Patience of Snails",
        "Ada Example, Institute of Gardens",
        "Abstract",
        "We watched two hundred snails for a summer and measured how long they would",
        "wait before they turned away from a closed door. Patience grew with the size",
        "of the shell and fell with the heat of the day.",
        "1 Introduction",
        "The waiting of animals has been studied in birds and in dogs, but the snail,",
        "which waits better than any other animal in the garden, was left out of the litera-",
        "ture. We close this gap with a simple method of measurement, a truly state-of-the-",
        "art one: a small door, a leaf behind it and a clock. All the doors were made of",
        "the same wood, so that no animal could tell one from another by its smell.",
        "1",
    ],
    [
        "A Journal of Small Things, volume 7",
        "2 Results",
        "The longest wait was eleven hours, and the animal that waited so long was also",
        "the largest one. On hot days the wait was shorter by a third, which agrees with",
        "what gardeners have always told us.",
        "References",
        "[1] B. Someone. A book about snails that nobody should learn by heart. 1999.",
        "2",
    ],
]


def assemble(objects: Sequence[bytes], *, info: bytes = b"") -> bytes:
    """Number the objects (the first is the catalogue) and write header, body, table and trailer."""
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate([*objects, b"<< %s >>" % info], start=1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    count = len(offsets)
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (count + 1))
    for offset in offsets:
        out.write(b"%010d 00000 n \n" % offset)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    out.write(trailer % (count + 1, count, start))
    return out.getvalue()


def document(contents: Sequence[bytes], *, title: str = "", filters: bytes = b"") -> bytes:
    """Make a PDF with one page per content stream, in Helvetica."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * index) for index in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for index, content in enumerate(contents):
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * index),
            b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), filters, content),
        ]
    return assemble(objects, info=b"/Title (%s)" % title.encode("latin-1"))


def text_pdf(pages: Sequence[Sequence[str]] = PAPER, *, title: str = "") -> bytes:
    """Make a PDF that shows these lines on these pages."""
    return document([_text(lines) for lines in pages], title=title)


def scan() -> bytes:
    """Make a PDF of one page that shows a grey box and no text."""
    return document([b"0.5 g 50 50 400 700 re f"])


def endless() -> bytes:
    """Make a PDF on which PyPDF2 3.0.1 loops for ever (CVE-2023-36464): a comment without end."""
    return document([_text(lines) + b"\n% no line end" for lines in PAPER])


def bomb(size: int) -> bytes:
    """Make a small PDF whose page unpacks to ``size`` bytes."""
    return document([zlib.compress(bytes(size), 1)], filters=b"/Filter /FlateDecode")


def encrypted(password: str) -> bytes:
    """Encrypt the text PDF with RC4, as PyPDF2 can without further libraries."""
    from PyPDF2 import PdfReader, PdfWriter

    writer = PdfWriter()
    for page in PdfReader(io.BytesIO(text_pdf())).pages:
        writer.add_page(page)
    writer.encrypt(password, "owner")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _text(lines: Sequence[str]) -> bytes:
    shown = [line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in lines]
    rows = " T* ".join(f"({line}) Tj" for line in shown)
    return f"BT /F1 10 Tf 50 780 Td 12 TL {rows} ET".encode("latin-1")


_WORDS = (
    "the water river cold spring warm summer measure month year care snail garden door leaf clock "
    "shell heat day wait animal bird dog method wood smell wall stone light shadow path morning "
    "small large quick slow patient careful strong weak old young high deep wide narrow open closed "
    "moves grows finds keeps shows needs takes gives holds turns under over beside against after"
)


def paper(seed: int) -> list[list[str]]:
    """Return the lines of a paper of two pages; papers of other seeds have no sentence of it."""
    draw = random.Random(seed)
    words = _WORDS.split()
    lines = [" ".join(draw.choices(words, k=14)).capitalize() + "." for _ in range(24)]
    title = f"On the {draw.choice(words).title()} of {draw.choice(words).title()} Things"
    return [[title, "Abstract", *lines[:12]], ["1 Results", *lines[12:]]]
