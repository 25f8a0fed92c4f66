from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pdfs import encrypted, text_pdf

from paperlora.pipeline.parse.extract import EXTRACTORS, NEEDS_PASSWORD, extract
from paperlora.pipeline.parse.rejected import RejectedError

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, data: bytes, extractor: str) -> tuple[list[str], str]:
    path = path / "paper.pdf"
    path.write_bytes(data)
    return extract(path, extractor)


def fault(path: Path, data: bytes, extractor: str) -> str:
    with pytest.raises(RejectedError) as caught:
        read(path, data, extractor)
    return str(caught.value)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_pages_come_in_order_with_the_title(tmp_path: Path, extractor: str) -> None:
    pages = [["First page speaks."], ["Second page speaks."], []]
    found, title = read(tmp_path, text_pdf(pages, title="A Title"), extractor)
    assert [page.strip() for page in found] == [
        "First page speaks.",
        "Second page speaks.",
        "",
    ]
    assert title == "A Title"


def test_pdfium_shows_where_it_joined_a_broken_word(tmp_path: Path) -> None:
    pages = [["a high-", "level view and the litera-", "ture of it"]]
    (page,), _ = read(tmp_path, text_pdf(pages), "pdfium")
    assert "high-\nlevel" in page
    assert "litera-\nture" in page


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_password_is_the_fault_but_an_empty_one_opens_the_paper(
    tmp_path: Path, extractor: str
) -> None:
    assert fault(tmp_path, encrypted("secret"), extractor) == NEEDS_PASSWORD
    opened, _ = read(tmp_path, encrypted(""), extractor)
    assert "Snails" in opened[0]


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_rubbish_is_a_fault(tmp_path: Path, extractor: str) -> None:
    assert "Error: " in fault(tmp_path, b"%PDF-1.4 and nothing more", extractor)


@pytest.mark.parametrize("title", [b"2024", b"[(One title)]", b"<< /A (x) >>", b"/Name", b"null"])
@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_title_that_is_not_text_is_ignored(tmp_path: Path, extractor: str, title: bytes) -> None:
    data = text_pdf(title="2024").replace(b"/Title (2024)", b"/Title " + title)
    pages, found = read(tmp_path, data, extractor)
    assert len(pages) == 2
    assert found in {"", "/Name", "Name"}
