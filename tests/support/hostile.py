"""PDFs that are slow, large or damaged: each must become a document or a rejection, in bounded time."""

from __future__ import annotations

import random
import zlib

from pdfs import assemble, bomb, document, endless, paper, scan, text_pdf


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return the bytes of a PDF with one kind of damage."""
    damaged = bytearray(data)
    kind = draw.randrange(4)
    if kind == 0:  # some bytes changed
        for _ in range(draw.choice((1, 10, 100, 1000))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
    elif kind == 1:  # cut off
        del damaged[draw.randrange(len(damaged)) :]
    elif kind == 2:  # a piece left out
        start = draw.randrange(len(damaged))
        del damaged[start : start + draw.choice((1, 100, 10_000))]
    else:  # two pieces swapped
        size = draw.choice((10, 1000, 10_000))
        one, other = (draw.randrange(max(len(damaged) - size, 1)) for _ in range(2))
        first, second = damaged[one : one + size], damaged[other : other + size]
        damaged[one : one + size], damaged[other : other + size] = second, first
    return bytes(damaged)


def wide_map(entries: int) -> bytes:
    """Return a PDF whose font maps each letter to a long text (a fat ToUnicode map)."""
    rows = b"".join(b"<%02x> <%s>\n" % (code, b"0041" * entries) for code in range(32, 127))
    text = (
        b"/CIDInit /ProcSet findresource begin begincmap 95 beginbfchar\n%sendbfchar endcmap" % rows
    )
    packed = zlib.compress(text, 9)
    content = b"BT /F1 10 Tf 50 780 Td (%s) Tj ET" % (b"the snail waits " * 200)
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources %s >>"
            % b"<< /Font << /F1 3 0 R >> >>",
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
        ]
    )


def hostile() -> dict[str, bytes]:
    """Return name → PDF that takes much time or memory to read."""
    [first, second] = paper(0)
    start, prose = ["Abstract", *first[2:]], [*first[2:], *second[1:]]
    letters = "".join(random.Random(0).choices("acgt", k=30_000))
    pages = [[f"{line} {n}"[:60] for n, line in enumerate(prose * 20)] for _ in range(40)]
    numbered = [
        [*start, f"so the page ends with its own number as Ray et al.,{n}"] for n in range(1, 6)
    ]
    return {
        "20,000 lines": text_pdf([start, *pages]),
        "200,000 short lines": text_pdf([[f"word{n % 7} is" for n in range(2000)]] * 100),
        "10,000 headings": text_pdf(
            [[f"{n}. Results of the Experiment" for n in range(400)] for _ in range(25)]
        ),
        "a word of 6,000 letters": text_pdf([[*start, "the" * 2000]]),
        "30,000 letters without a space": text_pdf([[*start, letters]]),
        "a line of 1 MB": text_pdf([[*start, " ".join(prose * 500)]]),
        "arXiv: 60,000 times": text_pdf([[*start, "arXiv:" * 60_000]]),
        "copyright 20,000 times": text_pdf([[*start, "copyright " * 20_000]]),
        "300,000 dots and quotes": text_pdf([[*start, 'the end." ' + '."' * 150_000]]),
        "5,000 pages": text_pdf([["a short page of ten words that says nothing new"]] * 5000),
        "a page number alone": text_pdf([*numbered, [*start, "6"]]),
        "a fat ToUnicode map": wide_map(20_000),
        "a bomb of 1 GB": bomb(1 << 30),
        "a comment without end": endless(),
        "forms in forms": document([b"/F1 Do " * 100_000]),
        "a scan": scan(),
    }
