"""A server with faults: every good file is byte-identical, and every bad one is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import faults
import pytest
from server import Server, body

from paperlora.pipeline.fetch import pace, web

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"TIMEOUT": (2, 0.3), "BACKOFF": 0, "sleep": lambda _: None}.items():
        monkeypatch.setattr(web, name, value)
    monkeypatch.setattr(pace, "PAUSE", 0)
    monkeypatch.setattr(pace, "JITTER", 0)
    with Server() as server, Server() as secure:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure.encrypt(tmp_path)))
        yield server, secure


def test_each_fault(servers, tmp_path: Path) -> None:
    to = tmp_path / "papers"
    to.mkdir()
    rows = faults.trial(*servers, to, 2)
    assert [row for row in rows if row.wrong] == []
    assert sum(row.downloads for row in rows) == 74
    assert sum(row.good for row in rows) == 2 * len(faults.GOOD)
    assert sum(row.named for row in rows) == 2 * len(faults.BAD)
    assert len(list(to.glob("*.pdf"))) == 2 * len(faults.GOOD)
    requests = {row.fault: row.requests for row in rows}
    assert requests["none"] == requests["404"] == 2  # neither is requested again


def test_a_wrong_file_counts_as_wrong(
    servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "papers"
    to.mkdir()
    other = b"%PDF-1.7\nanother\n%%EOF\n"
    monkeypatch.setattr(faults, "GOOD", {"none": lambda _, _c: [body(other)]})
    monkeypatch.setattr(faults, "BAD", {"404": ("answered 404", lambda _, c: [body(c)])})
    assert [(row.good, row.named, row.wrong) for row in faults.trial(*servers, to, 3)] == [
        (0, 0, 3), (0, 0, 3),
    ]  # fmt: skip
