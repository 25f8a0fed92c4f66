from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from paperlora.pipeline.parse.extract import EXTRACTORS, NEEDS_PASSWORD, RejectedError, extract
from pdfs import bomb, encrypted, endless, text_pdf

from paperlora.errors import EnvironmentNotVerifiedError
from paperlora.files import ROOT
from paperlora.pipeline.config import CorpusConfig

if TYPE_CHECKING:
    from pathlib import Path


def read(
    path: Path, data: bytes, extractor: str, *, seconds: float = 30, mib: int = 2048
) -> tuple[list[str], str]:
    path = path / "paper.pdf"
    path.write_bytes(data)
    limits = {"timeout_seconds": seconds, "memory_mib": mib}
    return extract(path, extractor, CorpusConfig().model_copy(update=limits))


def fault(path: Path, data: bytes, extractor: str, **limits: Any) -> str:
    with pytest.raises(RejectedError) as caught:
        read(path, data, extractor, **limits)
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
def test_rubbish_is_a_fault_in_one_line(tmp_path: Path, extractor: str) -> None:
    reason = fault(tmp_path, b"%PDF-1.4 and nothing more", extractor)
    assert reason
    assert "\n" not in reason
    assert "Traceback" not in reason


def test_a_parse_ends_at_the_time_limit(tmp_path: Path) -> None:
    assert fault(tmp_path, endless(), "pypdf2", seconds=0.7) == "not parsed within 0.7 s"


def test_a_bomb_meets_the_memory_limit_and_a_paper_does_not(tmp_path: Path) -> None:
    reason = fault(tmp_path, bomb(150 * 2**20), "pypdf2", mib=192)
    assert reason == "needs more than 192 MiB of memory"
    assert read(tmp_path, text_pdf(), "pypdf2", mib=192)


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
    ("error", "reason"),
    [
        # A PDF can choose the text of an error, and too little memory stops an import too.
        ("ValueError('ImportError: absent')", "ValueError: ImportError: absent"),
        ("ImportError('lib.so: failed to map segment')", "needs more than 2048 MiB of memory"),
        ("OSError('/x/lib.so: invalid ELF header')", None),
    ],
)
def test_only_a_failed_import_is_a_fault_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, reason: str | None
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
    (tmp_path / "pypdfium2.py").write_text(f"raise {error}")
    if reason:
        assert fault(tmp_path, text_pdf(), "pdfium") == reason
    else:
        with pytest.raises(EnvironmentNotVerifiedError, match="invalid ELF header"):
            read(tmp_path, text_pdf(), "pdfium")
