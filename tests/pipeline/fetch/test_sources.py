"""What `--list` may name: our own lists, text, bibliographies, folders."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from paperlora.errors import InputError
from paperlora.files import ROOT
from paperlora.pipeline.fetch import paper_list
from paperlora.pipeline.fetch.paper_list import Paper
from paperlora.pipeline.fetch.sources import read

if TYPE_CHECKING:
    from pathlib import Path

PDF = b"%PDF-1.7\n%%EOF\n"


def _write(path: Path, content: str | bytes = PDF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_papers_of_the_source() -> None:
    listed = read("source-papers")
    assert listed.path == ROOT / "lockfiles/source-papers.json"
    assert listed.recordable
    assert len(listed.papers) == 21
    for paper in listed.papers:
        assert paper.arxiv is not None
        assert "v" in paper.arxiv  # the version is part of what is fetched
        assert paper.title
        assert paper.authors
        assert paper.field
        # The first four digits of an identifier are the year and month of the first version.
        assert paper.year == 2000 + int(paper.arxiv[:2])
    assert len({paper.arxiv for paper in listed.papers}) == 21


def test_a_shipped_list_as_it_is_written(tmp_path: Path) -> None:
    shipped = ROOT / "lockfiles/source-papers.json"
    paper_list.write(tmp_path / "again.json", paper_list.read(shipped))
    assert (tmp_path / "again.json").read_bytes() == shipped.read_bytes()


def test_a_mistyped_name() -> None:
    with pytest.raises(InputError, match=r"cannot read the list.*did you mean 'source-papers'"):
        read("source-paper")


def test_identifiers(tmp_path: Path) -> None:
    text = """\ufeff# my papers

    arXiv:1703.06870v3  # Mask R-CNN
    10.1038/nature14539
    https://example.org/a.pdf#page=2
    1703.06870v3
    """
    listed = read(str(_write(tmp_path / "ids.txt", text)))
    assert listed.papers == [
        Paper(name="1703-06870v3", title="", field="", arxiv="1703.06870v3"),
        Paper(name="10-1038-nature14539", title="", field="", doi="10.1038/nature14539"),
        Paper(name="a", title="", field="", url="https://example.org/a.pdf#page=2"),
    ]
    assert not listed.recordable


def test_a_list_of_our_own_may_have_any_ending(tmp_path: Path) -> None:
    paper = Paper(name="a", title="A", field="", arxiv="1703.06870")
    path = tmp_path / "list"
    paper_list.write(path, [paper])
    assert read(str(path)).papers == [paper]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "1703.06870\na title\n", r"line 2: 'a title' is not an arXiv identifier.*→"),
        ("a.txt", "https://me:hunter2@example.org/a.pdf", r"user name or password"),
        ("a.txt", b"\xff\xfe\x00", r"is not UTF-8"),
        ("a.bib", b"\xff\xfe\x00", r"is not UTF-8"),
        ("a.json", "{", r"is not JSON"),
        ("a.json", '[{"type": "book"}, 3]', r"entry 2 is not an item of CSL JSON"),
        ("folder/a.txt", "x", r"has no PDF"),
    ],
)
def test_a_bad_list(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    path = _write(tmp_path / name, content)
    with pytest.raises(InputError, match=words) as caught:
        read(str(path.parent if "/" in name else path))
    assert "hunter2" not in str(caught.value)


def test_a_bare_folder(tmp_path: Path) -> None:
    for name in ("b/Paper.pdf", "a/paper.PDF", "c d/Études.pdf", "论文.pdf"):
        _write(tmp_path / name)
    for name in (".hidden/x.pdf", "a/._paper.pdf", "note.txt"):
        _write(tmp_path / name)
    listed = read(str(tmp_path))
    files = {name: str(path.relative_to(tmp_path)) for name, path in listed.files.items()}
    [hashed] = [name for name in files if name.startswith("paper-")]
    assert files == {
        "a-paper": "a/paper.PDF",
        "b-paper": "b/Paper.pdf",
        "etudes": "c d/Études.pdf",
        hashed: "论文.pdf",
    }
    assert [paper.file for paper in listed.papers] == [f"{name}.pdf" for name in listed.files]
    assert read(str(tmp_path)) == listed


def test_a_folder_of_an_earlier_fetch_keeps_its_titles(tmp_path: Path) -> None:
    paper = Paper(name="a", title="A", field="ai", arxiv="1703.06870v3", sha256="0" * 64, year=2017)
    paper_list.write(tmp_path / "papers.json", [paper])
    _write(tmp_path / "a.pdf")
    _write(tmp_path / "more/b.pdf")
    assert read(str(tmp_path)).papers == [
        replace(paper, arxiv=None, file="a.pdf"),
        Paper(name="b", title="", field="", file="b.pdf"),
    ]


BIB = """
@article{with_file, title = {With File}, doi = {10.1038/x}, file = {PDF:files/1/a.pdf:application/pdf;PDF:files/1/b.pdf:application/pdf}}
@article{lost_file, title = {Lost}, doi = {10.1038/y}, file = {PDF:files/2/a.pdf:application/pdf}}
@article{no_file, title = {No File}, eprint = {1703.06870}, archiveprefix = {arXiv}}
@book{nothing, title = {A Book}, year = 1999}
@book{gone, title = {Gone}, file = {PDF:files/3/a.pdf:application/pdf}}
@book{secret, title = {Secret}, url = {https://me:hunter2@example.org/a.pdf}}
"""  # noqa: E501


@pytest.mark.parametrize("named", ["file", "folder"])
def test_an_export_of_zotero(tmp_path: Path, named: str) -> None:
    path = _write(tmp_path / "My Library.bib", BIB)
    pdf = _write(tmp_path / "files/1/a.pdf")
    _write(tmp_path / "files/1/b.pdf")
    listed = read(str(path if named == "file" else tmp_path))
    assert {paper.name: paper.source for paper in listed.papers} == {
        "with-file": ("file", "with-file.pdf"),
        "lost-file": ("doi", "10.1038/y"),
        "no-file": ("arxiv", "1703.06870"),
    }
    assert [paper.title for paper in listed.papers] == ["With File", "Lost", "No File"]
    assert listed.files == {"with-file": pdf}
    assert set(listed.failures) == {"nothing", "gone", "secret"}
    assert "entry secret ('secret'): the url contains a user name" in str(listed.failures["secret"])
    assert "hunter2" not in str(listed.failures["secret"])
    assert "A Book: it has no PDF" in str(listed.failures["nothing"])
    assert "files/3/a.pdf is missing" in str(listed.failures["gone"])
    assert [remark.partition(":")[0] for remark in listed.remarks] == ["with-file", "lost-file"]


def test_csl_json_with_its_folders(tmp_path: Path) -> None:
    items = [
        {"id": "1", "type": "article", "title": "Mask R-CNN", "citation-key": "he"},
        {"id": "2", "type": "article", "title": "Segment Anything", "DOI": "10.1038/y"},
    ]
    _write(tmp_path / "library.json", json.dumps(items))
    pdf = _write(tmp_path / "files/7/He et al. - 2018 - Mask R-CNN.pdf")
    _write(tmp_path / "files/8/other.pdf")
    listed = read(str(tmp_path))
    assert listed.files == {"he": pdf}
    assert [paper.name for paper in listed.papers] == ["he", "segment-anything"]
    assert listed.remarks == ("other.pdf belongs to no entry by its name",)
