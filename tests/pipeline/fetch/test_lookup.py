"""What arXiv and DOI registrars answer, good and bad, and what is taken from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from server import Server, body, page, redirect, status

from paperlora.errors import DataError, NetworkError
from paperlora.pipeline.fetch import lookup, pace, web
from paperlora.pipeline.fetch.pace import Pace
from paperlora.pipeline.fetch.web import ExhaustedError, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

FEED = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom">
<link href="https://arxiv.org/api/query" rel="self"/><title>arXiv Query</title>{}</feed>"""
ENTRY = """<entry><id>https://arxiv.org/abs/{}</id><updated>2018-01-24T00:00:00Z</updated>
<published>2017-03-20T00:00:00Z</published><title>Mask
  R-CNN &amp; more</title><author><name>Kaiming He</name></author><author><name>Piotr Dollár</name>
</author></entry>"""
ERROR = """<entry><id>https://arxiv.org/api/errors#incorrect_id_format_for_x</id><title>Error</title>
<summary>incorrect id format for x</summary></entry>"""
WORK = {
    "title": ["Deep <i>learning</i>"],
    "author": [{"given": "Yann", "family": "LeCun"}, {"literal": "The Group"}, {}],
    "issued": {"date-parts": [[2015, 5, 27]]},
    "link": [
        {"URL": "https://example.org/a.xml", "content-type": "text/xml"},
        {"URL": "https://example.org/a.pdf", "content-type": "application/pdf"},
    ],
    "license": [{"URL": "https://creativecommons.org/licenses/by/4.0/"}],
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as one:
        monkeypatch.setattr(pace, "ARXIV_API", f"{one.base}/api/query")
        monkeypatch.setattr(lookup, "DOI", f"{one.base}/doi")
        monkeypatch.setattr(pace, "ARXIV_PAUSE", 0)
        monkeypatch.setattr(pace, "PAUSE", 0)
        monkeypatch.setattr(pace, "JITTER", 0)
        monkeypatch.setattr(web, "BACKOFF", 0)
        monkeypatch.setattr(web, "TIMEOUT", (2, 2))
        yield one


def _feed(server: Server, *answers: str) -> None:
    server.put("/api/query", *(body(FEED.format(one).encode(), kind="text/xml") for one in answers))


def _arxiv(*ids: str) -> dict[str, lookup.Found]:
    return lookup.arxiv(ids, open_session(Pace()), Pace())


def _doi(identifier: str = "10.1038/nature14539") -> lookup.Found:
    return lookup.doi(identifier, open_session(Pace()), Pace())


def test_arxiv(server: Server) -> None:
    _feed(server, ENTRY.format("1703.06870v3") + ENTRY.format("hep-th/9901001v1"))
    found = _arxiv("1703.06870", "hep-th/9901001v1", "9999.99999")
    assert set(found) == {"1703.06870", "hep-th/9901001v1"}
    assert found["1703.06870"] == lookup.Found(
        title="Mask R-CNN & more",
        authors=("Kaiming He", "Piotr Dollár"),
        year=2017,
        arxiv="1703.06870v3",
    )
    asked = parse_qs(urlsplit(server.gets[0].path).query)
    assert asked == {
        "id_list": ["1703.06870,hep-th/9901001v1,9999.99999"],
        "max_results": ["3"],  # arXiv sends ten without it
    }


def test_many_identifiers_are_few_requests(server: Server) -> None:
    _feed(server, "")
    assert _arxiv(*(f"1703.{number:05}" for number in range(120))) == {}
    assert len(server.gets) == 3


def test_another_version_is_not_taken(server: Server) -> None:
    _feed(server, ENTRY.format("1703.06870v3"))
    assert _arxiv("1703.06870v2") == {}


def test_a_version_that_cannot_be_is_not_taken(server: Server) -> None:
    _feed(server, ENTRY.format("1703.06870v0"))
    assert _arxiv("1703.06870") == {}


def test_an_error_of_arxiv_is_not_a_paper(server: Server) -> None:
    _feed(server, ERROR)
    assert _arxiv("x") == {}


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><feed>&b;</feed>'


@pytest.mark.parametrize("text", ["Rate exceeded.", "", "<feed>", "<html></html>", BOMB])
def test_what_is_not_a_feed_is_requested_again(server: Server, text: str) -> None:
    good = FEED.format(ENTRY.format("1703.06870v3")).encode()
    server.put("/api/query", body(text.encode()), status(503), body(good, stop=200), body(good))
    assert "1703.06870" in _arxiv("1703.06870")
    server.put("/api/query", body(text.encode()))
    with pytest.raises(ExhaustedError, match=r"did not send a feed of papers \(attempts: 5\)"):
        _arxiv("1703.06870")


def test_a_bomb_in_another_encoding(server: Server) -> None:
    server.put("/api/query", body(BOMB.encode("utf-16")))
    with pytest.raises(ExhaustedError, match="feed"):
        _arxiv("1703.06870")


def test_doi(server: Server) -> None:
    server.put("/works/1", body(json.dumps(WORK).encode(), kind=lookup.CSL))
    server.put("/doi/10.1038/nature14539", redirect("/works/1"))
    assert _doi() == lookup.Found(
        title="Deep learning",
        authors=("Yann LeCun", "The Group"),
        year=2015,
        url="https://example.org/a.pdf",
        licence="https://creativecommons.org/licenses/by/4.0/",
    )
    assert {request.headers["Accept"] for request in server.gets} == {lookup.CSL}


def test_a_doi_with_little_known(server: Server) -> None:
    server.put("/doi/10.1038/nature14539", body(b"{}"))
    assert _doi() == lookup.Found(title="", authors=(), year=None)


def test_a_doi_is_quoted_in_the_address(server: Server) -> None:
    server.put("/doi/10.1002/a%3Cb%3E%3F%23", body(b"{}"))
    assert _doi("10.1002/a<b>?#").title == ""


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "<html>", '{"author": 3}', '{"link": [{"content-type": "application/pdf"}]}',
     '{"issued": {"date-parts": [[]]}}', '{"issued": {"date-parts": [["soon"]]}}', "[" * 100_000],
)  # fmt: skip
def test_what_is_not_csl(server: Server, text: str) -> None:
    server.put("/doi/10.1038/nature14539", body(text.encode()))
    with pytest.raises(DataError, match="did not send a description"):
        _doi()


def test_an_unknown_doi(server: Server) -> None:
    server.put("/doi/10.1038/nature14539", status(404))
    with pytest.raises(NetworkError, match="404"):
        _doi()


def test_an_endless_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "MOST_BYTES", 1000)
    server.put("/doi/10.1038/nature14539", page())
    with pytest.raises(DataError, match="too much"):
        _doi()
