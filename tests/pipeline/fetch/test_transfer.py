"""From lists of identifiers, exports and folders to PDFs: lookups, copies, and a second call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from server import PDF, Server, body, status

from paperlora.errors import DataError, InputError, NetworkError
from paperlora.pipeline.fetch import lookup, pace, web
from paperlora.pipeline.fetch.fetch import run
from paperlora.pipeline.fetch.paper_list import Paper, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENTRY = """<entry><id>https://arxiv.org/abs/{}</id><published>2017-03-20T00:00:00Z</published>
<title>Mask R-CNN</title><author><name>Kaiming He</name></author></entry>"""


def _feed(*ids: str) -> bytes:
    entries = "".join(ENTRY.format(one) for one in ids)
    return f'<feed xmlns="http://www.w3.org/2005/Atom">{entries}</feed>'.encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as one:
        monkeypatch.setattr(pace, "ARXIV", f"{one.base}/pdf")
        monkeypatch.setattr(pace, "ARXIV_API", f"{one.base}/api")
        monkeypatch.setattr(lookup, "DOI", f"{one.base}/doi")
        for name in ("ARXIV_PAUSE", "PAUSE", "JITTER"):
            monkeypatch.setattr(pace, name, 0)
        monkeypatch.setattr(web, "BACKOFF", 0)
        monkeypatch.setattr(web, "TIMEOUT", (2, 2))
        yield one


def _paths(server: Server) -> list[str]:
    return [request.path.partition("?")[0] for request in server.gets]


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    path = tmp_path / "ids.txt"
    path.write_text("1703.06870\n10.1038/nature14539\n")
    return path


def test_identifiers_become_papers_with_titles(server: Server, tmp_path: Path, ids: Path) -> None:
    server.put("/api", body(_feed("1703.06870v3")))
    server.put("/pdf/1703.06870v3", body())
    pdf = server.put("/nature.pdf", body(PDF + b"\n%%EOF\n"))
    work = {"title": "Deep learning", "link": [{"URL": pdf, "content-type": "application/pdf"}]}
    server.put("/doi/10.1038/nature14539", body(json.dumps(work).encode()))
    to = tmp_path / "papers"
    result = run(ids, to)
    assert result.fetched == {"1703-06870", "10-1038-nature14539"}
    assert read(to / "papers.json") == [
        Paper(
            name="1703-06870",
            title="Mask R-CNN",
            field="",
            arxiv="1703.06870v3",  # the version is kept: a later fetch gets the same
            authors=("Kaiming He",),
            year=2017,
        ),
        Paper(
            name="10-1038-nature14539", title="Deep learning", field="", doi="10.1038/nature14539"
        ),
    ]
    before = len(server.seen)
    again = run(ids, to)
    assert again.fetched == frozenset()
    assert again.hashes == result.hashes
    assert len(server.seen) == before  # nothing is looked up twice
    (to / "1703-06870.pdf").unlink()
    (to / "10-1038-nature14539.pdf").unlink()
    assert run(ids, to).hashes == result.hashes
    assert _paths(server)[before:] == [
        "/doi/10.1038/nature14539", "/pdf/1703.06870v3", "/nature.pdf",
    ]  # fmt: skip


def test_an_interruption_keeps_what_was_looked_up(
    server: Server, tmp_path: Path, ids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_job: object) -> str:
        raise KeyboardInterrupt

    server.put("/api", body(_feed("1703.06870v3")))
    monkeypatch.setattr("paperlora.pipeline.fetch.transfer.download", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(ids, tmp_path / "papers")
    assert read(tmp_path / "papers/papers.json")[0].title == "Mask R-CNN"


def test_what_a_lookup_does_not_find_is_named(server: Server, tmp_path: Path, ids: Path) -> None:
    server.put("/api", body(_feed("1703.00000v1")))
    server.put("/doi/10.1038/nature14539", body(b'{"title": "Deep learning"}'))
    with pytest.raises(DataError) as caught:
        run(ids, tmp_path / "papers")
    message = str(caught.value)
    assert "1703-06870: arXiv has no paper 1703.06870 → correct the identifier" in message
    assert "the DOI 10.1038/nature14539 has no address of a PDF → download it with a" in message
    # what is known about the paper is kept although its PDF is not there
    assert read(tmp_path / "papers/papers.json")[1].title == "Deep learning"


def test_without_an_answer_from_arxiv_only_the_title_is_missing(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ids.txt").write_text("1703.06870v3\n")
    server.put(
        "/api",
        status(503),
        status(503),
        status(503),
        status(503),
        status(503),
        body(_feed("1703.06870v3")),
    )
    server.put("/pdf/1703.06870v3", body())
    to = tmp_path / "papers"
    assert run(tmp_path / "ids.txt", to).fetched == {"1703-06870v3"}
    assert "no titles from arXiv, the next fetch tries again" in capsys.readouterr().err
    assert read(to / "papers.json")[0].title == ""
    run(tmp_path / "ids.txt", to)
    assert read(to / "papers.json")[0].title == "Mask R-CNN"


def test_a_registrar_without_a_network_is_tried_few_times(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("".join(f"10.1038/{number}\n" for number in range(10)))
    for number in range(10):
        server.put(f"/doi/10.1038/{number}", status(503))
    with pytest.raises(NetworkError, match="10 papers were not fetched"):
        run(tmp_path / "ids.txt", tmp_path / "papers")
    assert len(server.gets) == 5 + 9


def test_a_registrar_that_asks_for_a_long_wait_is_left_alone(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_text("10.1038/a\n10.1038/b\n")
    server.put("/doi/10.1038/a", status(429, retry_after="3600"))
    with pytest.raises(NetworkError, match="not looked up, because"):
        run(tmp_path / "ids.txt", tmp_path / "papers")
    assert _paths(server) == ["/doi/10.1038/a"]


def test_a_folder_is_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, to = tmp_path / "mine", tmp_path / "papers"
    for name, content in {"a.pdf": PDF, "b/C.pdf": PDF + b"c", "b/page.pdf": b"<html>"}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    with pytest.raises(
        DataError, match=r"1 paper was not fetched:\n  page: .*page\.pdf is not a PDF"
    ):
        run(source, to, record=True)
    assert (to / "a.pdf").read_bytes() == PDF
    assert (to / "c.pdf").read_bytes() == PDF + b"c"
    assert not (to / "page.pdf").exists()
    assert [(p.name, p.title, bool(p.sha256)) for p in read(to / "papers.json")] == [
        ("a", "", True), ("c", "", True), ("page", "", False),
    ]  # fmt: skip
    assert capsys.readouterr().out.count("fetched\n") == 2
    (source / "b/page.pdf").unlink()
    assert run(source, to).fetched == frozenset()
    assert capsys.readouterr().out.count("present\n") == 2
    # the folder's own file is never replaced by another one of the same name
    (source / "a.pdf").write_bytes(PDF + b"new")
    with pytest.raises(DataError, match=r"a\.pdf is there, but differs from .*mine/a\.pdf.*--to"):
        run(source, to)
    assert (to / "a.pdf").read_bytes() == PDF


def test_an_export_brings_its_files_and_downloads_the_others(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "files/1").mkdir(parents=True)
    (tmp_path / "files/1/He - Mask.pdf").write_bytes(PDF)
    bib = r"""@article{he2018, title = {Mask {R}-{CNN}}, author = {He, Kaiming},
        file = {PDF:files/1/He - Mask.pdf:application/pdf}}
        @article{lin2017, title = {Pyramids}, eprint = {1612.03144v2}, archiveprefix = {arXiv}}
        @book{old, title = {A Book}}"""
    (tmp_path / "library.bib").write_text(bib)
    server.put("/pdf/1612.03144v2", body(PDF + b"\n%%EOF\n"))
    with pytest.raises(DataError, match=r"1 paper was not fetched:\n  old: A Book: it has no PDF"):
        run(tmp_path / "library.bib", tmp_path / "papers")
    assert _paths(server) == ["/pdf/1612.03144v2"]  # titles that the export has are not looked up
    assert read(tmp_path / "papers/papers.json") == [
        Paper(
            name="he2018", title="Mask R-CNN", field="", file="he2018.pdf", authors=("Kaiming He",)
        ),
        Paper(name="lin2017", title="Pyramids", field="", arxiv="1612.03144v2"),
    ]


def test_the_folder_of_papers_cannot_be_its_own_list(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    with pytest.raises(InputError, match=r"is the folder of papers itself.*--papers"):
        run(tmp_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]


def test_a_list_of_our_own_says_what_is_uncertain(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"name": "a", "title": "A", "field": "", "arxiv": "1703.06870v3", "note": "A guess."}
    (tmp_path / "list.json").write_text(json.dumps([entry]))
    server.put("/pdf/1703.06870v3", body())
    run(tmp_path / "list.json", tmp_path / "papers")
    assert "list.json: a: A guess." in capsys.readouterr().err
