from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pdfs import encrypted, scan, text_pdf

from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse.document import check_header, read_document, sane_title
from paperlora.pipeline.parse.rejected import RejectedError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = CorpusConfig()
SOUND = (
    "The network learns all of the parameters of the model during training on a large set of data"
)
GLUED = "Thenetworklearnsallof theparametersofthemodel duringthetraining on alarge setofdata"
TORN = (
    "The network learns all the parame ters of the mod el during trai ning on a lar ge set of data"
)


def read(path: Path, **entry: str) -> dict[str, Any]:
    return read_document(path, sha256="0" * 64, entry=entry, config=CONFIG)


def test_a_paper_becomes_a_document(tmp_path: Path) -> None:
    path = tmp_path / "snails.pdf"
    path.write_bytes(text_pdf())
    document = read(path, field="health")
    assert (document["paper"], document["file"], document["field"]) == (
        "snails",
        "snails.pdf",
        "health",
    )
    assert (document["extractor"], document["page_count"]) == ("pypdf2", 2)
    assert document["quality"].pop("pypdf2") > 0.98
    assert document["quality"] == {"pdfium": None, "glued": 0, "torn": 0}
    sections = [(paragraph["section"], paragraph["page"]) for paragraph in document["paragraphs"]]
    assert sections == [("Abstract", 1), ("Introduction", 1), ("Results", 2)]
    text = " ".join(paragraph["text"] for paragraph in document["paragraphs"])
    assert "the literature. We close" in text
    assert "a truly state-of-the-art one" in text
    assert document["words"] == len(text.split())
    for absent in ("Journal", "Institute", "nobody", "litera-"):
        assert absent not in text


def test_the_title_comes_from_the_list_the_metadata_the_page_or_the_file(tmp_path: Path) -> None:
    path = tmp_path / "snails.pdf"
    path.write_bytes(text_pdf(title="Paper About Snails"))
    assert read(path, title="Known Title")["title"] == "Known Title"
    assert read(path)["title"] == "Paper About Snails"
    path.write_bytes(text_pdf(title="Microsoft Word - snails.docx"))
    assert read(path)["title"] == "On the Patience of Snails"


@pytest.mark.parametrize(
    "title", ["", "paper", "untitled document", "1234 5678", "a b.dvi", "\x00 Title"]
)
def test_names_of_files_and_programs_are_not_titles(title: str) -> None:
    assert sane_title(title) == ""
    assert sane_title(" Deep   Learning ") == "Deep Learning"


def fake(monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
    def extract(_path: Path, extractor: str) -> tuple[list[str], str]:
        if text := texts.get(extractor):
            return [text], ""
        raise RejectedError(f"{extractor} broke")

    monkeypatch.setattr("paperlora.pipeline.parse.document.extract", extract)


def lines(text: str, count: int = 20) -> str:
    return "\n".join([text] * count)


@pytest.mark.parametrize(
    ("pypdf2", "pdfium", "chosen"),
    [
        (lines(SOUND), "", "pypdf2"),  # good at once: pdfium is not needed
        (lines(GLUED), lines(SOUND), "pdfium"),
        (lines(TORN), lines(SOUND), "pdfium"),
        (lines(SOUND) + "\n" + TORN, lines(SOUND, 21), "pdfium"),  # few torn words suffice
        (lines(SOUND + " qwxz zzvq"), lines(SOUND), "pdfium"),  # and so do unknown ones
        ("", lines(SOUND), "pdfium"),
        (lines(GLUED), "", "pypdf2"),  # poor, but all there is
        (lines(GLUED), lines(GLUED), "pypdf2"),
        (lines(SOUND, 60) + "\n" + lines(TORN, 1), lines(SOUND, 10), "pypdf2"),  # half is missing
    ],
)
def test_the_better_text_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pypdf2: str, pdfium: str, chosen: str
) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(b"%PDF-1.4")
    fake(monkeypatch, pypdf2=pypdf2, pdfium=pdfium)
    if pypdf2 == lines(GLUED) and chosen == "pypdf2":
        monkeypatch.setattr("paperlora.pipeline.parse.document._READABLE_SHARE", 0.0)
        monkeypatch.setattr("paperlora.pipeline.parse.document._MIN_WORDS", 1)
    assert read(path)["extractor"] == chosen


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>", "HTML, not a PDF"),
        (b"GIF89a", "begins b'GIF89a'"),
        (encrypted("secret"), "encrypted: it needs a password"),
        (scan(), "only 0 words of prose on 1 pages"),
    ],
)
def test_bad_papers_are_rejected_with_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(data)
    with pytest.raises(RejectedError) as caught:
        read(path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_letters_are_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "cipher.pdf"
    path.write_bytes(b"%PDF-1.4")
    cipher = SOUND.translate(str.maketrans("aeinorst", "zqxvkwjq"))
    fake(monkeypatch, pypdf2=lines(cipher), pdfium=lines(cipher))
    with pytest.raises(RejectedError, match="not readable English"):
        read(path)


def test_both_faults_are_in_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(b"%PDF-1.4")
    fake(monkeypatch)
    with pytest.raises(RejectedError, match="pypdf2: pypdf2 broke; pdfium: pdfium broke"):
        read(path)


def test_a_header_need_not_be_the_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "late.pdf"
    path.write_bytes(b"\n" * 100 + b"%PDF-1.4")
    check_header(path)
    path.write_bytes(b"\n" * 2000 + b"%PDF-1.4")
    with pytest.raises(RejectedError):
        check_header(path)
