from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paperlora.errors import DataError
from paperlora.pipeline import freshness
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse import cache
from paperlora.pipeline.parse.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = CorpusConfig()
ACCEPTED = Outcome(pages=2, words=60, sketch=(1, 2))
ENTRY = {"title": "A", "field": "ai"}


def test_what_is_stored_is_loaded_and_can_be_forgotten(tmp_path: Path) -> None:
    assert cache.load(tmp_path, "a") is None
    cache.store(tmp_path, "a", ACCEPTED, b"{}\n")
    cache.store(tmp_path, "b", Outcome(reason="a scan"), b"")
    assert cache.load(tmp_path, "a") == (ACCEPTED, b"{}\n")
    assert cache.load(tmp_path, "b") == (Outcome(reason="a scan"), b"")
    cache.forget(tmp_path, "a")
    cache.forget(tmp_path, "a")
    assert cache.load(tmp_path, "a") is None


@pytest.mark.parametrize("position", [0, 40, -1])
def test_a_damaged_file_is_not_used(tmp_path: Path, position: int) -> None:
    cache.store(tmp_path, "a", ACCEPTED, b"{}\n")
    path = tmp_path / cache.FOLDER / "a"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    assert cache.load(tmp_path, "a") is None
    data[position] ^= 1
    for cut in (0, 10, 32, len(data) - 1):
        path.write_bytes(data[:cut])
        assert cache.load(tmp_path, "a") is None
    path.write_bytes(data)
    assert cache.load(tmp_path, "a")


def test_the_key_has_all_that_decides_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    first = cache.key("a.pdf", "00", ENTRY, CONFIG)
    assert first == cache.key("a.pdf", "00", dict(ENTRY), CorpusConfig())
    # The folder and the treatment of near duplicates do not change what a child reads.
    same = {"papers": "/elsewhere", "near_duplicates": "keep"}
    assert first == cache.key("a.pdf", "00", ENTRY, CONFIG.model_copy(update=same))
    others = [
        cache.key("b.pdf", "00", ENTRY, CONFIG),
        cache.key("a.pdf", "01", ENTRY, CONFIG),
        cache.key("a.pdf", "00", ENTRY | {"field": "climate"}, CONFIG),
        *(
            cache.key("a.pdf", "00", ENTRY, CONFIG.model_copy(update={name: 9}))
            for name in CorpusConfig.model_fields
            if name not in same
        ),
    ]
    monkeypatch.setattr(freshness, "code", lambda *_: "other")
    others.append(cache.key("a.pdf", "00", ENTRY, CONFIG))
    assert len({first, *others}) == 1 + len(others)


def test_documents_are_joined_in_the_order_of_the_keys(tmp_path: Path) -> None:
    cache.store(tmp_path, "a", ACCEPTED, b'{"paper": 1}\n')
    cache.store(tmp_path, "b", ACCEPTED, b'{"paper": 2}\n')
    cache.join(tmp_path, ["b", "a"], tmp_path / "documents.jsonl")
    assert (tmp_path / "documents.jsonl").read_bytes() == b'{"paper": 2}\n{"paper": 1}\n'
    cache.forget(tmp_path, "a")
    with pytest.raises(DataError, match="is gone"):
        cache.join(tmp_path, ["a"], tmp_path / "documents.jsonl")
    assert (tmp_path / "documents.jsonl").read_bytes() == b'{"paper": 2}\n{"paper": 1}\n'


def test_only_the_named_papers_are_kept(tmp_path: Path) -> None:
    for name in "abc":
        cache.store(tmp_path, name, ACCEPTED, b"{}\n")
    (tmp_path / cache.FOLDER / ".a.left_by_a_kill").write_bytes(b"half")
    cache.prune(tmp_path, {"b", "d"})
    assert [path.name for path in (tmp_path / cache.FOLDER).iterdir()] == ["b"]
