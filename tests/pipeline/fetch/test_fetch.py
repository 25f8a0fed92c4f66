"""The fetch command: what it downloads, skips, records, merges and reports."""

from __future__ import annotations

import fcntl
import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from server import PDF, Server, body, page, status

from paperlora import __version__
from paperlora.errors import DataError, InputError, NetworkError
from paperlora.pipeline.fetch import pace, progress, transfer, web
from paperlora.pipeline.fetch.fetch import run
from paperlora.pipeline.fetch.paper_list import Paper, read, write
from paperlora.pipeline.fetch.progress import Progress
from paperlora.pipeline.fetch.transfer import FetchResult, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HASH = hashlib.sha256(PDF).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


def _paper(server: Server, name: str, sha256: str | None = None) -> Paper:
    return Paper(name=name, title=name, field="ai", url=f"{server.base}/{name}", sha256=sha256)


@pytest.fixture(autouse=True)
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds of each wait; nothing really waits."""
    slept: list[float] = []
    for part in (web, pace):
        monkeypatch.setattr(part, "sleep", slept.append)
        monkeypatch.setattr(part, "JITTER", 0)
    monkeypatch.setattr(web, "TIMEOUT", (2, 2))
    monkeypatch.setattr(pace, "PAUSE", 0)
    return slept


def test_fetch(server: Server, tmp_path: Path) -> None:
    server.put("/a", body())
    to = tmp_path / "new" / "folder"
    shipped = Paper(name="s", title="s", field="", file="papers/s.pdf", sha256="0" * 64)
    result = fetch([_paper(server, "a", HASH), shipped], to)
    assert result == FetchResult(fetched=frozenset("a"), hashes={"a": HASH}, failures={})
    assert [path.name for path in to.iterdir()] == ["a.pdf"]
    assert (to / "a.pdf").read_bytes() == PDF
    result.check()
    assert {request.headers["User-Agent"] for request in server.seen} == {
        f"paperlora/{__version__}"
    }


@pytest.mark.parametrize("known", [True, False])
def test_a_paper_in_the_folder_is_not_downloaded(
    server: Server, tmp_path: Path, *, known: bool
) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    result = fetch([_paper(server, "a", HASH if known else None)], tmp_path)
    assert result.fetched == frozenset()
    assert result.hashes == {"a": HASH}
    assert server.seen == []


@pytest.mark.parametrize("known", [True, False])
def test_a_wrong_file_in_the_folder_is_replaced(
    server: Server, tmp_path: Path, *, known: bool
) -> None:
    server.put("/a", body())
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 of another paper" if known else b"<html>")
    assert fetch([_paper(server, "a", HASH if known else None)], tmp_path).fetched == {"a"}
    assert (tmp_path / "a.pdf").read_bytes() == PDF


def test_one_bad_paper_does_not_stop_the_others(server: Server, tmp_path: Path) -> None:
    server.put("/a", status(404))
    server.put("/b", page())
    server.put("/c", body())
    result = fetch([_paper(server, name) for name in "abc"], tmp_path)
    assert result.fetched == {"c"}
    with pytest.raises(NetworkError) as caught:
        result.check()
    head, first, second = str(caught.value).splitlines()
    assert head == "2 papers were not fetched:"
    assert first.startswith("  a: ")
    assert "404" in first
    assert "→ correct the address" in first
    assert second.startswith("  b: ")
    assert "web page" in second
    assert [path.name for path in tmp_path.iterdir()] == ["c.pdf"]


def test_only_bad_data_is_a_data_error(server: Server, tmp_path: Path) -> None:
    server.put("/a", page())
    server.put("/b", body())
    result = fetch([_paper(server, "a"), _paper(server, "b", "0" * 64)], tmp_path)
    with pytest.raises(DataError, match="2 papers were not fetched"):
        result.check()


def test_a_troubled_host_is_not_retried_for_each_paper(
    server: Server, tmp_path: Path, sleeps: list[float]
) -> None:
    server.put("/a", status(503))
    server.put("/b", status(503))
    server.put("/c", body())
    server.put("/d", status(503), body())
    result = fetch([_paper(server, name) for name in "abcd"], tmp_path)
    asked = [request.path for request in server.gets]
    # c worked: d gets all attempts again, and so does b, at the end
    assert [asked.count(f"/{name}") for name in "abcd"] == [5, 1 + 5, 1, 2]
    assert result.fetched == {"c", "d"}
    assert sleeps == [1.0, 2.0, 4.0, 8.0, 1.0, 1.0, 2.0, 4.0, 8.0]


def test_a_host_that_asks_for_a_long_wait_is_left_alone(server: Server, tmp_path: Path) -> None:
    server.put("/a", status(503, retry_after="3600"))  # only this file
    server.put("/b", body())
    server.put("/c", status(429, retry_after="3600"))  # this client
    server.put("/d", body())
    papers = [_paper(server, name) for name in "abcd"]
    elsewhere = replace(papers[1], name="e", url=f"{server.other_host}/b")
    result = fetch([*papers, elsewhere], tmp_path)
    assert result.fetched == {"b", "e"}
    assert [request.path for request in server.gets] == ["/a", "/b", "/c", "/b"]
    assert "asks to wait 3600 s" in str(result.failures["c"])
    assert "not requested, because" in str(result.failures["d"])
    assert "→ run the command again after that time" in str(result.failures["d"])


def test_pauses_between_requests_to_arxiv(
    server: Server, tmp_path: Path, sleeps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    papers = []
    for name, number in (("p", "0704.0001"), ("q", "0704.0002v1")):
        server.put(f"/pdf/{number}", status(503, retry_after="0"), body())
        papers.append(Paper(name=name, title="t", field="", arxiv=number))
    server.put("/other", body())
    monkeypatch.setattr(pace, "ARXIV", f"{server.base}/pdf")
    fetch([*papers, _paper(server, "other")], tmp_path).check()
    assert [request.path for request in server.gets] == [
        "/pdf/0704.0001", "/pdf/0704.0001", "/pdf/0704.0002v1", "/pdf/0704.0002v1", "/other",
    ]  # fmt: skip
    pauses = [round(seconds) for seconds in sleeps]
    assert pauses == [0, 3, 3, 0, 3]  # a retry pauses too; the first request and others do not
    assert len(server.seen) == 5  # and no other requests, such as HEAD


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("https://arxiv.org/pdf/1", True),
        ("https://export.arxiv.org/pdf/1", True),
        ("https://notarxiv.org/pdf/1", False),
        ("https://example.org/arxiv.org/1", False),
        ("https://mirror.example/pdf/1", True),
    ],
)
def test_addresses_of_arxiv_are_recognised(
    monkeypatch: pytest.MonkeyPatch, url: str, *, known: bool
) -> None:
    monkeypatch.setattr(pace, "ARXIV", "https://mirror.example/pdf")
    assert (pace._host(url) == "arxiv.org") is known


def test_the_estimate_is_printed_first(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.put("/a", body())
    fetch([_paper(server, "a")], tmp_path)
    printed = capsys.readouterr()
    # no bar, because this is not a terminal
    assert printed.err == "papers to fetch: 1, about 2.5 MB\n"
    assert printed.out == ""


def test_progress_follows_estimates_and_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bar:
        def __init__(self, *, total: int, **_: object) -> None:
            self.total, self.n = total, 0

        def update(self, count: int) -> None:
            self.n += count

        def set_description(self, _text: str) -> None: ...
        def close(self) -> None: ...

    monkeypatch.setattr(progress, "tqdm", Bar)
    monkeypatch.setattr(progress, "TYPICAL", 100)
    with Progress("ab") as both:
        bar = both._bar
        report = both.of("a")
        report(60, 80)
        assert (bar.n, bar.total) == (60, 180)
        report(0, 80)  # the server ignored the range: from the beginning
        assert (bar.n, bar.total) == (0, 180)
        report(90, None)
        assert (bar.n, bar.total) == (90, 190)
        both.drop("b")
        assert (bar.n, bar.total) == (90, 90)


def test_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    write(tmp_path / "list.json", [])
    with pytest.raises(InputError, match=r"cannot use the folder.*--to"):
        run(tmp_path / "list.json", tmp_path / "file")


def test_two_at_once(tmp_path: Path) -> None:
    write(tmp_path / "list.json", [])
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(DataError, match="another fetch"):
        run(tmp_path / "list.json", tmp_path)
    assert not (tmp_path / "papers.json").exists()
    os.close(handle)
    assert run(tmp_path / "list.json", tmp_path).hashes == {}


@pytest.mark.parametrize("record", [True, False])
def test_record(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, record: bool
) -> None:
    server.put("/a", body())
    server.put("/bad", status(404))
    path = tmp_path / "papers.json"
    papers = [_paper(server, "a"), _paper(server, "bad")]
    write(path, papers)
    before = path.read_text()
    with pytest.raises(NetworkError):  # for the bad one; the good one is recorded
        run(path, tmp_path / "pdf", record=record)
    printed = capsys.readouterr()
    assert printed.out == f"{HASH} {tmp_path / 'pdf' / 'a.pdf'} fetched\n"
    in_folder = [paper.sha256 for paper in read(tmp_path / "pdf" / "papers.json")]
    if record:
        assert [paper.sha256 for paper in read(path)] == in_folder == [HASH, None]
        assert f"wrote the hashes of a into {path}" in printed.err
    else:
        assert path.read_text() == before
        assert in_folder == [None, None]
        assert f"{path} has no hash of a → add them with --record" in printed.err


def test_a_known_hash_is_never_replaced(server: Server, tmp_path: Path) -> None:
    server.put("/a", body())
    server.put("/b", body())
    path = tmp_path / "papers.json"
    write(path, [_paper(server, "a", "0" * 64), _paper(server, "b")])
    with pytest.raises(DataError, match="SHA-256"):
        run(path, tmp_path / "pdf", record=True)
    assert [paper.sha256 for paper in read(path)] == ["0" * 64, HASH]


def _list(path: Path, *papers: Paper) -> Path:
    write(path, list(papers))
    return path


def test_two_lists_into_one_folder_keep_the_entries_of_both(server: Server, tmp_path: Path) -> None:
    for name in "abc":
        server.put(f"/{name}", body())
    to = tmp_path / "pdf"
    a, b, c = (_paper(server, name) for name in "abc")
    run(_list(tmp_path / "one.json", a, b), to, record=True)
    renamed = replace(b, title="A better title", field="health")
    run(_list(tmp_path / "two.json", renamed, c), to)
    assert read(to / "papers.json") == [
        replace(a, sha256=HASH),
        replace(renamed, sha256=HASH),  # the newer entry, the hash that was recorded
        c,  # without --record nothing writes a hash
    ]
    assert read(tmp_path / "two.json") == [renamed, c]


def test_an_interruption_keeps_the_entries_of_the_list(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_job: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(transfer, "download", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(_list(tmp_path / "list.json", _paper(server, "a")), tmp_path / "pdf", record=True)
    assert read(tmp_path / "pdf" / "papers.json") == [_paper(server, "a")]


def test_a_hash_in_the_list_of_the_folder_is_checked(server: Server, tmp_path: Path) -> None:
    server.put("/a", body(), body(PDF + b"changed"))
    to = tmp_path / "pdf"
    run(_list(tmp_path / "one.json", _paper(server, "a")), to, record=True)
    (to / "a.pdf").unlink()
    with pytest.raises(DataError, match="SHA-256"):
        run(_list(tmp_path / "two.json", _paper(server, "a")), to)


@pytest.mark.parametrize("other", ["arxiv", "url"])
def test_one_name_for_two_papers_is_refused_before_a_download(
    server: Server, tmp_path: Path, other: str
) -> None:
    server.put("/a", body())
    server.put("/b", body())
    to = tmp_path / "pdf"
    run(_list(tmp_path / "one.json", _paper(server, "a")), to)
    requests, before = len(server.seen), (to / "papers.json").read_text()
    value = {"arxiv": "2106.09685", "url": f"{server.base}/b?token=s3cret"}[other]
    clash = replace(_paper(server, "a"), **{"url": None, other: value})
    with pytest.raises(InputError) as caught:
        run(_list(tmp_path / "two.json", _paper(server, "b"), clash), to)
    message = str(caught.value)
    assert f"from url {server.base}/a in {to / 'papers.json'}" in message
    assert (
        f"from {other} {value.replace('token=s3cret', '…')} in {tmp_path / 'two.json'}" in message
    )
    assert "s3cret" not in message
    assert len(server.seen) == requests
    assert (to / "papers.json").read_text() == before


def test_a_list_that_lies_in_its_own_folder(server: Server, tmp_path: Path) -> None:
    server.put("/a", body())
    path = _list(tmp_path / "papers.json", _paper(server, "a"))
    run(path, tmp_path)
    assert read(path) == [_paper(server, "a")]
    run(path, tmp_path, record=True)
    assert read(path) == [_paper(server, "a", HASH)]
