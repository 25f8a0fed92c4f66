"""The list of papers: what `read` accepts and refuses, with its messages, and what `write` writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from paperlora.errors import InputError
from paperlora.pipeline.fetch.paper_list import Paper, read, write

if TYPE_CHECKING:
    from pathlib import Path

LORA: dict[str, Any] = {
    "name": "lora",
    "title": "LoRA: Low-Rank Adaptation",
    "field": "ai",
    "arxiv": "2106.09685v2",
    "sha256": None,
}


def _list(folder: Path, *entries: object) -> Path:
    path = folder / "papers.json"
    path.write_text(json.dumps(list(entries)), encoding="utf-8")
    return path


def _refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    assert " → " in str(caught.value)
    return str(caught.value)


def test_read(tmp_path: Path) -> None:
    shipped = {"name": "ours", "title": "Ours", "field": "", "file": "papers/ours.pdf"}
    web = {**LORA, "name": "by-url", "arxiv": None, "url": "https://example.org/a.pdf?v=1"}
    lora, ours, by_url = read(_list(tmp_path, LORA, shipped, web))
    assert lora == Paper(
        name="lora", title="LoRA: Low-Rank Adaptation", field="ai", arxiv="2106.09685v2"
    )
    assert lora.file_name == "lora.pdf"
    assert ours.file == "papers/ours.pdf"
    assert by_url.url == "https://example.org/a.pdf?v=1"


def test_an_empty_list_is_a_list(tmp_path: Path) -> None:
    assert read(_list(tmp_path)) == []


@pytest.mark.parametrize("key", ["tittle", "Arxiv", "sha-256"])
def test_unknown_key(tmp_path: Path, key: str) -> None:
    message = _refused(_list(tmp_path, LORA, {**LORA, "name": "b", key: "x"}))
    assert "entry 2 ('b')" in message
    assert repr(key) in message
    assert "did you mean" in message


def test_unknown_key_like_no_other(tmp_path: Path) -> None:
    assert "use name, title" in _refused(_list(tmp_path, {**LORA, "zzz": "x"}))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../up",
        "a/b",
        "a\\b",
        "..",
        ".hidden",
        "UPPER",
        "a--b",
        "-a",
        "a b",
        "é",
        "a\n",
        "a.pdf",
        "a" * 101,
    ],
)
def test_bad_name(tmp_path: Path, name: str) -> None:
    assert "give a file name of a-z" in _refused(_list(tmp_path, {**LORA, "name": name}))


@pytest.mark.parametrize("name", ["a", "batch-normalization", "futoma2017improved", "a" * 100])
def test_good_name(tmp_path: Path, name: str) -> None:
    assert read(_list(tmp_path, {**LORA, "name": name}))[0].name == name


def test_duplicate_name(tmp_path: Path) -> None:
    assert "'lora' 2 times" in _refused(_list(tmp_path, LORA, {**LORA, "title": "Another"}))


@pytest.mark.parametrize(
    "arxiv",
    ["", "2106.968", "arXiv:2106.09685", "https://arxiv.org/abs/2106.09685", "2106.09685v0",
     "2106.09685/../x", "../2106.09685", "hep-th/99", "\uff12106.09685"],
)  # fmt: skip
def test_bad_arxiv(tmp_path: Path, arxiv: str) -> None:
    assert "give an arXiv identifier" in _refused(_list(tmp_path, {**LORA, "arxiv": arxiv}))


@pytest.mark.parametrize(
    "arxiv", ["0704.0001", "2106.09685v2", "hep-th/9901001v1", "math.GT/0309136"]
)
def test_good_arxiv(tmp_path: Path, arxiv: str) -> None:
    assert read(_list(tmp_path, {**LORA, "arxiv": arxiv}))[0].arxiv == arxiv


@pytest.mark.parametrize(
    "url",
    ["", "file:///etc/passwd", "ftp://example.org/a.pdf", "example.org/a.pdf", "https://",
     "javascript:alert(1)", "https://example.org/a b.pdf", "https://[::1/a.pdf",
     "https://example.org:99999/a.pdf", "https://example.org\\@evil.example/a.pdf"],
)  # fmt: skip
def test_bad_url(tmp_path: Path, url: str) -> None:
    message = _refused(_list(tmp_path, {**LORA, "arxiv": None, "url": url}))
    assert "web address" in message or "user name" in message


def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path: Path) -> None:
    entry = {**LORA, "arxiv": None, "url": "https://me:hunter2@example.org/a.pdf"}
    message = _refused(_list(tmp_path, entry))
    assert "password" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("file", ["", "/etc/a.pdf", "../a.pdf", "a/../../b.pdf", "a.txt"])
def test_bad_file(tmp_path: Path, file: str) -> None:
    message = _refused(_list(tmp_path, {**LORA, "arxiv": None, "file": file}))
    assert "not a PDF inside the project" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arxiv": None}, "no source"),
        ({"url": "https://example.org/a.pdf"}, "url and arxiv"),
        ({"sha256": "ABC"}, "64 lower-case"),
        ({"sha256": "A" * 64}, "64 lower-case"),
        ({"title": " "}, 'title is " " → give the title'),
        ({"title": None}, "title is null"),
        ({"field": 3}, "field is 3"),
        ({"sha256": True}, "sha256 is true"),
        ({"arxiv": 2106.09685}, "arxiv is 2106.09685"),
    ],
)
def test_bad_entry(tmp_path: Path, change: dict[str, object], words: str) -> None:
    assert words in _refused(_list(tmp_path, {**LORA, **change}))


def test_missing_keys(tmp_path: Path) -> None:
    assert "title is missing" in (
        message := _refused(_list(tmp_path, {"name": "a", "arxiv": "2106.09685"}))
    )
    assert "field is missing" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "not a list"),
        ("[1]", "entry 1 is not an object"),
        ("[", "not JSON"),
        ("null", "not a list"),
    ],
)
def test_not_a_list(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "papers.json"
    path.write_text(text, encoding="utf-8")
    assert words in _refused(path)


def test_unreadable(tmp_path: Path) -> None:
    assert "No such file" in _refused(tmp_path / "none.json")
    assert "directory" in _refused(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    assert "not JSON" in _refused(tmp_path / "latin.json")


def test_write_then_read(tmp_path: Path) -> None:
    papers = [
        Paper(name="b", title="B", field="", file="papers/b.pdf", licence="CC0-1.0"),
        Paper(name="a", title="Á", field="ai", arxiv="0704.0001", sha256="0" * 64),
    ]
    path = tmp_path / "papers.json"
    write(path, papers)
    assert read(path) == papers  # the order is the list's own
    first, second = json.loads(path.read_text(encoding="utf-8"))
    assert set(first) == {"name", "title", "field", "file", "licence", "sha256"}
    assert set(second) == {"name", "title", "field", "arxiv", "sha256"}
