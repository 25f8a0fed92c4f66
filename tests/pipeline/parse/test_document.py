from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pages import Sheet, pdf
from pdfs import encrypted, scan, text_pdf
from PyPDF2 import PdfReader
from typed import Column, prose

from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse.document import check_header, read_document
from paperlora.pipeline.parse.rejected import RejectedError

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, *, extractor: str = "pdfium", **entry: object) -> dict[str, Any]:
    config = CorpusConfig.model_validate({"extractor": extractor})
    return read_document(path, sha256="0" * 64, entry=entry, config=config)


@pytest.fixture
def snails(tmp_path: Path) -> Path:
    path = tmp_path / "snails.pdf"
    path.write_bytes(text_pdf())
    return path


def test_a_paper_becomes_a_document(snails: Path) -> None:
    document = read(snails, field="health")
    assert (document["paper"], document["file"]) == ("snails", "snails.pdf")
    assert (document["field"], document["extractor"], document["page_count"]) == (
        "health",
        "pdfium",
        2,
    )
    assert document["title"] == "On the Patience of Snails"
    assert document["quality"]["known"] > 0.98
    assert (document["quality"]["glued"], document["quality"]["torn"]) == (0, 0)
    sections = [(paragraph["section"], paragraph["page"]) for paragraph in document["paragraphs"]]
    assert sections == [("Abstract", 1), ("Introduction", 1), ("Results", 2)]
    text = " ".join(paragraph["text"] for paragraph in document["paragraphs"])
    assert "the literature. We close" in text
    assert "a truly state-of-the-art one" in text
    assert document["words"] == len(text.split())
    for absent in ("Journal", "Institute", "nobody", "litera-"):
        assert absent not in text
    assert {part["role"] for part in document["aside"]} == {"running", "front", "reference"}


def test_the_recipe_of_the_source_paper_is_the_text_of_its_reader(snails: Path) -> None:
    document = read(snails, extractor="pypdf2")
    assert document["extractor"] == "pypdf2"
    pages = [paragraph["text"].split() for paragraph in document["paragraphs"]]
    theirs = [page.extract_text().split() for page in PdfReader(snails).pages]
    # Only words broken at a line's end are joined.
    assert [len(page) for page in pages] == [len(theirs[0]) - 2, len(theirs[1])]
    assert "nobody" in " ".join(pages[1])


def test_glyph_names_are_not_words_of_a_paper(tmp_path: Path) -> None:
    path = tmp_path / "glyphs.pdf"
    path.write_bytes(text_pdf([[f"N/summationdisplay of x in line {n} of it." for n in range(40)]]))
    assert "summation" not in str(read(path, extractor="pypdf2")["paragraphs"])


def test_what_the_list_says_comes_first(snails: Path) -> None:
    document = read(snails, title="On the patience of snails", authors=["Ada Example"])
    assert document["title"] == "On the patience of snails"
    assert document["authors"] == ["Ada Example"]


@pytest.mark.parametrize(
    "title", ["On the Patience of Snails", "The Patience of Snails: a Study", ""]
)
def test_the_right_paper_is_accepted(snails: Path, title: str) -> None:
    assert read(snails, title=title)["words"] > 50


@pytest.mark.parametrize("title", ["Mamba: Linear-Time Sequence Modeling", "The Speed of Birds"])
def test_another_paper_is_refused_by_name(snails: Path, title: str) -> None:
    with pytest.raises(RejectedError, match="another paper") as caught:
        read(snails, title=title)
    assert title in str(caught.value)
    assert "'On the Patience of Snails'" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>", "HTML, not a PDF"),
        (b"GIF89a", "begins b'GIF89a'"),
        (encrypted("secret"), "encrypted: it needs a password"),
        (b"%PDF-1.4 and nothing more", "damaged"),
        (scan(), "only 0 words of prose on 1 pages"),
    ],
)
def test_bad_papers_are_rejected_with_a_reason_and_a_remedy(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(data)
    with pytest.raises(RejectedError) as caught:
        read(path)
    assert reason in str(caught.value)
    assert " → " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_password_opens_a_paper(tmp_path: Path) -> None:
    path = tmp_path / "open.pdf"
    path.write_bytes(encrypted(""))
    assert "Snails" in read(path)["title"]


def test_unreadable_letters_are_rejected(tmp_path: Path) -> None:
    sheet = Sheet()
    cipher = str.maketrans("aeinorst", "zqxvkwjq")
    Column(sheet).add(*(line.translate(cipher) for line in prose(30)))
    path = tmp_path / "cipher.pdf"
    path.write_bytes(pdf([sheet]))
    with pytest.raises(RejectedError, match="not readable English"):
        read(path)


def test_a_header_need_not_be_the_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "late.pdf"
    path.write_bytes(b"\n" * 100 + b"%PDF-1.4")
    check_header(path)
    path.write_bytes(b"\n" * 2000 + b"%PDF-1.4")
    with pytest.raises(RejectedError):
        check_header(path)


@pytest.mark.parametrize("title", [b"2024", b"[(One title)]", b"<< /A (x) >>", b"/Name", b"null"])
@pytest.mark.parametrize("extractor", ["pdfium", "pypdf2"])
def test_a_described_title_that_is_not_text_is_ignored(
    tmp_path: Path, extractor: str, title: bytes
) -> None:
    path = tmp_path / "odd.pdf"
    path.write_bytes(text_pdf(title="2024").replace(b"/Title (2024)", b"/Title " + title))
    assert read(path, extractor=extractor)["title"] in {
        "On the Patience of Snails",
        "odd",
        "Name",
        "/Name",
    }
