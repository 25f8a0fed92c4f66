"""A server with faults: every good file is byte-identical, and every bad one is named."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

import faults
import pytest
from server import Server, body

from paperlora.pipeline.fetch import pace, paper_list, web
from paperlora.pipeline.fetch.paper_list import Paper

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


CHILD = """
import json, sys
from pathlib import Path
from paperlora.pipeline.fetch import pace
from paperlora.pipeline.fetch.fetch import run
pace.PAUSE = pace.JITTER = 0
print("begun", flush=True)
run(sys.argv[1], Path(sys.argv[2]))
"""


def test_killed_at_any_moment_the_next_call_resumes(tmp_path: Path) -> None:
    chance = random.Random(0)
    contents = {f"p{n}": b"%PDF-1.7\n" + chance.randbytes(150_000) + b"\n%%EOF\n" for n in range(4)}
    to = tmp_path / "papers"
    kills = 0
    with Server() as server:
        papers = [
            Paper(
                name=name,
                title=name,
                field="",
                url=server.put(f"/{name}", body(content, pause=0.01)),
            )
            for name, content in contents.items()
        ]
        paper_list.write(tmp_path / "list.json", papers)
        command = [sys.executable, "-c", CHILD, tmp_path / "list.json", to]
        for _ in range(20):
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            child.stdout.readline()
            try:
                code = child.wait(chance.uniform(0.02, 0.35))
                break
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                kills += 1
            for file in to.glob("*.pdf"):  # what has its final name is whole at every moment
                assert file.read_bytes() == contents[file.stem]
        resumed = [seen for seen in server.gets if "Range" in seen.headers]
    assert code == 0
    assert kills > 1
    assert resumed
    left = sorted(path.name for path in to.iterdir() if not path.name.startswith("."))
    assert left == [*(f"{name}.pdf" for name in contents), "papers.json"]
    assert {path.stem: path.read_bytes() for path in to.glob("*.pdf")} == contents
