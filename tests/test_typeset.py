import shutil

import pytest
import typeset
from PyPDF2 import PdfReader

from paperlora.errors import DataError, InputError
from paperlora.files import ROOT, sha256_file
from paperlora.pipeline.fetch import paper_list

SHIPPED = paper_list.read(typeset.LISTING)


def test_three_papers_ship_in_each_field():
    fields = [paper.field for paper in SHIPPED]
    assert {field: fields.count(field) for field in fields} == {
        "ai": 3, "climate": 3, "health": 3, "vision": 3,
    }  # fmt: skip


@pytest.mark.parametrize("paper", SHIPPED, ids=lambda paper: paper.name)
def test_each_pdf_is_the_listed_one_and_was_made_from_the_source_beside_it(paper):
    pdf = typeset.PAPERS / paper.file
    assert sha256_file(pdf) == paper.sha256
    source = PdfReader(pdf).metadata[f"/{typeset.SOURCE_KEY}"]
    assert source == sha256_file(pdf.with_suffix(".tex"))
    assert 3 <= len(PdfReader(pdf).pages) <= 6


def test_no_path_of_the_machine_that_built_them_is_in_a_pdf():
    for paper in SHIPPED:
        content = (typeset.PAPERS / paper.file).read_bytes()
        assert str(ROOT).encode() not in content
        assert b"/tmp/" not in content


def test_a_machine_without_tex_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="texlive"):
        typeset.typeset(tmp_path, tmp_path / "papers.json")


def test_a_source_without_field_or_title_is_refused(tmp_path):
    with pytest.raises(DataError, match="field"):
        typeset._found(r"^% field: (\w+)", "% feld: ai", tmp_path / "a.tex", "field")
    assert typeset._title(tmp_path / "a.tex", "\\pdfinfo{/Title (A\n  b)}") == "A b"
