from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pdfs import bomb, encrypted, endless, text_pdf

from paperlora.errors import EnvironmentNotVerifiedError
from paperlora.files import ROOT
from paperlora.pipeline.parse.extract import NEEDS_PASSWORD, Limits, extract

if TYPE_CHECKING:
    from pathlib import Path

    from paperlora.pipeline.parse.extract import Extracted

EXTRACTORS = ("pypdf2", "pdfium")


def read(
    path: Path, data: bytes, extractor: str, *, seconds: float = 30, memory_bytes: int = 2**31
) -> Extracted:
    path = path / "paper.pdf"
    path.write_bytes(data)
    return extract(path, extractor, Limits(seconds=seconds, memory_bytes=memory_bytes))


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_pages_come_in_order_with_the_title(tmp_path: Path, extractor: str) -> None:
    pages = [["First page speaks."], ["Second page speaks."], []]
    found = read(tmp_path, text_pdf(pages, title="A Title"), extractor)
    assert [page.strip() for page in found.pages] == [
        "First page speaks.",
        "Second page speaks.",
        "",
    ]
    assert (found.title, found.fault) == ("A Title", "")


def test_pdfium_shows_where_it_joined_a_broken_word(tmp_path: Path) -> None:
    pages = [["a high-", "level view and the litera-", "ture of it"]]
    found = read(tmp_path, text_pdf(pages), "pdfium")
    assert "high-\nlevel" in found.pages[0]
    assert "litera-\nture" in found.pages[0]


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_password_is_the_fault_but_an_empty_one_opens_the_paper(
    tmp_path: Path, extractor: str
) -> None:
    assert read(tmp_path, encrypted("secret"), extractor).fault == NEEDS_PASSWORD
    opened = read(tmp_path, encrypted(""), extractor)
    assert opened.fault == ""
    assert "Snails" in opened.pages[0]


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_rubbish_is_a_fault_in_one_line(tmp_path: Path, extractor: str) -> None:
    fault = read(tmp_path, b"%PDF-1.4 and nothing more", extractor).fault
    assert fault
    assert "\n" not in fault
    assert "Traceback" not in fault


def test_a_parse_ends_at_the_time_limit(tmp_path: Path) -> None:
    assert read(tmp_path, endless(), "pypdf2", seconds=0.7).fault == "not parsed within 0.7 s"


def test_a_bomb_meets_the_memory_limit_and_a_paper_does_not(tmp_path: Path) -> None:
    limit = 192 * 2**20
    found = read(tmp_path, bomb(150 * 2**20), "pypdf2", memory_bytes=limit)
    assert found.fault == "needs more than 192 MiB of memory"
    assert read(tmp_path, text_pdf(), "pypdf2", memory_bytes=limit).fault == ""


@pytest.mark.parametrize(
    ("module", "extractor"),
    [("PyPDF2", "pypdf2"), ("pypdfium2", "pdfium"), ("paperlora", "pdfium")],
)
def test_a_library_that_cannot_be_imported_is_a_fault_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, extractor: str
) -> None:
    library = tmp_path / f"{module}.py"
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
    library.write_text("import absent_library")
    with pytest.raises(EnvironmentNotVerifiedError, match="no PDF can be read") as caught:
        read(tmp_path, text_pdf(), extractor)
    assert caught.value.code == 3
    assert "verify" in caught.value.remedy


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        # A PDF can choose the text of an error, and too little memory stops an import too.
        ("ValueError('ImportError: absent')", "ValueError: ImportError: absent"),
        ("ImportError('lib.so: failed to map segment')", "needs more than 2048 MiB of memory"),
        ("OSError('/x/lib.so: invalid ELF header')", None),
    ],
)
def test_only_a_failed_import_is_a_fault_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, fault: str | None
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
    (tmp_path / "pypdfium2.py").write_text(f"raise {error}")
    if fault:
        assert read(tmp_path, text_pdf(), "pdfium").fault == fault
    else:
        with pytest.raises(EnvironmentNotVerifiedError, match="invalid ELF header"):
            read(tmp_path, text_pdf(), "pdfium")
