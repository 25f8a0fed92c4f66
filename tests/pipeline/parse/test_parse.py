from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pdfs import PAPER, endless, scan, text_pdf

from paperlora.errors import DataError, EnvironmentNotVerifiedError, InputError
from paperlora.files import ROOT, read_json, read_jsonl
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse.parse import command, list_papers

OTHER = [*PAPER, ["The last page is here so that the files are not the same and so on and on."]]


def parse(papers: Path, run: Path, *known: dict[str, str], **limits: float) -> dict[str, str]:
    """Run the command and return file → reason of the rejected papers."""
    command(papers, run, known=known, config=CorpusConfig().model_copy(update=limits))
    return {row["file"]: row["reason"] for row in read_json(run / "parse.json")["rejected"]}


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    return folder


def test_good_papers_are_parsed_when_others_are_bad(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"b.pdf": text_pdf(), "a.PDF": text_pdf(OTHER)}
    bad = {
        "empty.pdf": b"",
        "page.pdf": b"<html></html>",
        "same.pdf": good["b.pdf"],
        "scan.pdf": scan(),
        "wrong.pdf": text_pdf(title="Other"),
    }
    for name, data in {**good, **bad, "notes.txt": b"not looked at"}.items():
        (papers / name).write_bytes(data)
    (papers / "folder.pdf").mkdir()
    digest = hashlib.sha256(good["b.pdf"]).hexdigest()
    known = [
        {"name": "b", "title": "Known", "field": "ai", "sha256": digest},
        {"name": "wrong", "title": "Wrong", "field": "ai", "sha256": "ab" * 32},
    ]
    run = tmp_path / "run"
    reasons = parse(papers, run, *known)
    documents = read_jsonl(run / "documents.jsonl")
    assert [(row["paper"], row["title"], row["field"]) for row in documents] == [
        ("a", "On the Patience of Snails", ""),
        ("b", "Known", "ai"),
    ]
    assert documents[1]["sha256"] == digest
    assert list(reasons) == sorted([*bad, "folder.pdf"])
    assert reasons["same.pdf"] == "the same file as b.pdf"
    assert reasons["wrong.pdf"].endswith("the list of papers has abababababab…")
    printed = capsys.readouterr()
    assert printed.out == ""
    *skipped, summary = printed.err.splitlines()
    assert sorted(skipped) == sorted(f"skipped {file}: {why}" for file, why in reasons.items())
    assert summary == "parse: 2 accepted, 6 rejected"
    assert sorted(path.name for path in run.iterdir()) == ["documents.jsonl", "parse.json"]


def test_equal_input_gives_equal_bytes_and_other_input_does_not(
    papers: Path, tmp_path: Path
) -> None:
    (papers / "a.pdf").write_bytes(text_pdf())
    (papers / "b.pdf").write_bytes(text_pdf(OTHER))

    def outputs(name: str) -> list[bytes]:
        parse(papers, tmp_path / name)
        return [path.read_bytes() for path in sorted((tmp_path / name).iterdir())]

    first = outputs("first")
    assert outputs("second") == first
    (papers / "b.pdf").write_bytes(text_pdf(OTHER, title="Another Title"))
    assert all(new != old for new, old in zip(outputs("third"), first, strict=True))


def test_without_a_good_paper_there_is_an_error_and_no_file(papers: Path, tmp_path: Path) -> None:
    (papers / "a.pdf").write_bytes(b"")
    (papers / "b.pdf").write_bytes(text_pdf())
    run = tmp_path / "run"
    with pytest.raises(
        DataError, match=r"2 PDFs .*a\.pdf: the file is empty; b\.pdf: not parsed within"
    ) as caught:
        parse(papers, run, timeout_seconds=0.01)
    assert caught.value.remedy
    assert not run.exists()


def test_missing_empty_and_mistaken_folders_are_bad_input(papers: Path) -> None:
    for folder, what in ((papers / "nowhere", "does not exist"), (papers, "no \\*.pdf in")):
        with pytest.raises(InputError, match=what) as caught:
            list_papers(folder)
        assert "fetch" in caught.value.remedy
    (papers / "a.pdf").write_bytes(b"")
    assert list_papers(papers) == [papers / "a.pdf"]
    with pytest.raises(InputError, match="is not a folder"):
        list_papers(papers / "a.pdf")


def test_the_limits_of_the_configuration_hold(papers: Path, tmp_path: Path) -> None:
    (papers / "snails.pdf").write_bytes(text_pdf())
    assert parse(papers, tmp_path) == {}
    with pytest.raises(DataError, match=r"can be used \(snails\.pdf: "):
        parse(papers, tmp_path, memory_mib=16)


def test_a_missing_library_ends_the_command_and_rejects_no_paper(
    papers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in "abcd":
        (papers / f"{name}.pdf").write_bytes(text_pdf(OTHER, title=name))
    library = tmp_path / "PyPDF2.py"
    library.write_text("import absent_library")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
        with pytest.raises(EnvironmentNotVerifiedError, match="No module named 'absent_library'"):
            parse(papers, tmp_path / "run")
    assert "skipped" not in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    # The control: with the library, the same papers are accepted, in the same process.
    assert parse(papers, tmp_path / "run") == {}


def test_two_files_cannot_be_one_paper(papers: Path, tmp_path: Path) -> None:
    (papers / "a.PDF").write_bytes(text_pdf())
    (papers / "a.pdf").write_bytes(text_pdf(OTHER))
    assert parse(papers, tmp_path) == {"a.pdf": "another file is also named a"}


def test_an_interrupt_ends_the_children_at_once(papers: Path, tmp_path: Path) -> None:
    (papers / "endless.pdf").write_bytes(endless())
    (papers / "z.pdf").write_bytes(text_pdf())
    run = tmp_path / "run"
    script = (
        "import sys; from pathlib import Path; from paperlora.pipeline.parse import parse;"
        "from paperlora.pipeline.config import CorpusConfig;"
        "parse.command(*map(Path, sys.argv[1:]), known=[], config=CorpusConfig())"
    )
    child = [sys.executable, "-c", script, str(papers), str(run)]
    with subprocess.Popen(child, stderr=subprocess.PIPE, start_new_session=True) as parsing:
        deadline = time.monotonic() + 20
        while not _children(parsing.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        assert _children(parsing.pid)  # the endless one runs
        os.kill(parsing.pid, signal.SIGINT)  # to the parent alone
        interrupted = time.monotonic()
        stderr = parsing.communicate(timeout=20)[1]
    assert time.monotonic() - interrupted < 5
    assert b"KeyboardInterrupt" in stderr
    assert not run.exists()


def _children(pid: int) -> str:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return " ".join(task.read_text(encoding="ascii") for task in tasks).strip()


def test_a_name_that_is_not_utf_8_costs_that_paper_only(papers: Path, tmp_path: Path) -> None:
    (papers / "good.pdf").write_bytes(text_pdf())
    Path(os.fsdecode(os.fsencode(papers) + b"/b\xffd.pdf")).write_bytes(text_pdf(OTHER))
    assert parse(papers, tmp_path) == {"b?d.pdf": "its name is not valid UTF-8"}
    assert [row["paper"] for row in read_jsonl(tmp_path / "documents.jsonl")] == ["good"]
