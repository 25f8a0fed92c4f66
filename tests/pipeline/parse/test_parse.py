from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pdfs import bomb, endless, paper, scan, text_pdf

from paperlora.errors import DataError, EnvironmentNotVerifiedError, InputError
from paperlora.files import ROOT, read_json, read_jsonl
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse import cache
from paperlora.pipeline.parse.parse import command, list_papers
from paperlora.pipeline.parse.shard import Shard

OTHER = paper(1)
SCRIPT = (
    "import sys; from pathlib import Path; from paperlora.pipeline.parse import parse;"
    "from paperlora.pipeline.config import CorpusConfig;"
    "parse.command(*map(Path, sys.argv[1:]), known=[], config=CorpusConfig(extractor='pypdf2'))"
)


def parse(papers: Path, run: Path, *known: dict[str, str], **settings: object) -> dict[str, str]:
    """Run the command and return file → reason of the rejected papers."""
    command(papers, run, known=known, config=CorpusConfig().model_copy(update=settings))
    return {row["file"]: row["reason"] for row in read_json(run / "parse.json")["rejected"]}


def outcome(run: Path) -> list[bytes]:
    """Return the bytes of what the command writes."""
    return [(run / name).read_bytes() for name in ("documents.jsonl", "parse.json")]


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
        {"name": "b", "title": "The Patience of Snails", "field": "ai", "sha256": digest},
        {"name": "wrong", "title": "Wrong", "field": "ai", "sha256": "ab" * 32},
    ]
    run = tmp_path / "run"
    reasons = parse(papers, run, *known)
    documents = read_jsonl(run / "documents.jsonl")
    assert [(row["paper"], row["title"], row["field"]) for row in documents] == [
        ("a", "On the Beside of High Things", ""),
        ("b", "The Patience of Snails", "ai"),
    ]
    assert documents[1]["sha256"] == digest
    assert list(reasons) == sorted([*bad, "folder.pdf"])
    assert reasons["same.pdf"] == "the same file as b.pdf → remove one of the two"
    assert "the list of papers has abababababab…" in reasons["wrong.pdf"]
    printed = capsys.readouterr()
    assert printed.out == ""
    *lines, summary = printed.err.splitlines()
    assert summary == "parse: 2 accepted, 6 rejected"
    # One line for each paper, with a count for those that a child reads.
    counts = [f"{number} of 5: " for number in range(1, 6)]
    assert [line[:8] for line in lines if line[0].isdigit()] == counts
    texts = sorted(line[8:] if line[0].isdigit() else line for line in lines)
    skipped = [f"skipped {file}: {why}" for file, why in reasons.items()]
    assert texts == sorted(["a.PDF: 2 pages, 336 words", "b.pdf: 2 pages, 152 words", *skipped])
    names = [cache.FOLDER, "documents.jsonl", "parse.json"]
    assert sorted(path.name for path in run.iterdir()) == names


def test_equal_input_gives_equal_bytes_and_other_input_does_not(
    papers: Path, tmp_path: Path
) -> None:
    (papers / "a.pdf").write_bytes(text_pdf())
    (papers / "b.pdf").write_bytes(text_pdf(OTHER))

    def outputs(name: str) -> list[bytes]:
        parse(papers, tmp_path / name)
        return outcome(tmp_path / name)

    first = outputs("first")
    assert outputs("second") == first
    (papers / "b.pdf").write_bytes(text_pdf(OTHER, title="Another Title"))
    assert all(new != old for new, old in zip(outputs("third"), first, strict=True))


def test_without_a_good_paper_there_is_an_error_and_no_file(papers: Path, tmp_path: Path) -> None:
    (papers / "a.pdf").write_bytes(b"")
    (papers / "b.pdf").write_bytes(endless())
    run = tmp_path / "run"
    with pytest.raises(DataError, match=r"2 PDFs .*a\.pdf: the file is empty") as caught:
        parse(papers, run, timeout_seconds=1, extractor="pypdf2")
    assert "b.pdf: not read within 1 s" in str(caught.value)
    assert caught.value.remedy
    assert [path.name for path in run.iterdir()] == [cache.FOLDER]


def test_missing_empty_and_mistaken_folders_are_bad_input(papers: Path) -> None:
    for folder, what in ((papers / "nowhere", "does not exist"), (papers, "no \\*.pdf in")):
        with pytest.raises(InputError, match=what) as caught:
            list_papers(folder)
        assert "fetch" in caught.value.remedy
    (papers / "a.pdf").write_bytes(b"")
    assert list_papers(papers) == [papers / "a.pdf"]
    with pytest.raises(InputError, match="is not a folder"):
        list_papers(papers / "a.pdf")


@pytest.mark.parametrize(
    ("library", "text", "reason"),
    [
        ("PyPDF2", "import absent_library", "No module named 'absent_library'"),
        ("pypdfium2", "import absent_library", "No module named 'absent_library'"),
        ("spellchecker", "import absent_library", "No module named 'absent_library'"),
        ("paperlora", "import absent_library", "No module named 'absent_library'"),
        ("pypdfium2", "raise OSError('/x/lib.so: invalid ELF header')", "invalid ELF header"),
    ],
)
def test_a_missing_library_ends_the_command_and_rejects_no_paper(
    papers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    library: str,
    text: str,
    reason: str,
) -> None:
    for number in range(4):
        (papers / f"{number}.pdf").write_bytes(text_pdf(paper(number)))
    (tmp_path / f"{library}.py").write_text(text)
    # That of PyPDF2 fails in a child: it is loaded late, and only where it is asked for.
    settings = {"extractor": "pypdf2"} if library == "PyPDF2" else {}
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
        with pytest.raises(EnvironmentNotVerifiedError, match=reason) as caught:
            parse(papers, tmp_path / "run", **settings)
    assert caught.value.code == 3
    assert "verify" in caught.value.remedy
    assert "skipped" not in capsys.readouterr().err
    assert not (tmp_path / "run" / "documents.jsonl").exists()
    # The control: with the library, the same papers are accepted, in the same process.
    monkeypatch.undo()
    assert parse(papers, tmp_path / "run") == {}


def test_two_files_cannot_be_one_paper(papers: Path, tmp_path: Path) -> None:
    (papers / "a.PDF").write_bytes(text_pdf())
    (papers / "a.pdf").write_bytes(text_pdf(OTHER))
    assert parse(papers, tmp_path) == {"a.pdf": "another file is also named a → rename one"}


def test_an_interrupt_ends_the_children_at_once(papers: Path, tmp_path: Path) -> None:
    (papers / "endless.pdf").write_bytes(endless())
    (papers / "z.pdf").write_bytes(text_pdf())
    run = tmp_path / "run"
    child = [sys.executable, "-c", SCRIPT, str(papers), str(run)]
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
    assert not (run / "documents.jsonl").exists()


def _children(pid: int) -> str:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return " ".join(task.read_text(encoding="ascii") for task in tasks).strip()


def test_a_name_that_is_not_utf_8_costs_that_paper_only(papers: Path, tmp_path: Path) -> None:
    (papers / "good.pdf").write_bytes(text_pdf())
    Path(os.fsdecode(os.fsencode(papers) + b"/b\xffd.pdf")).write_bytes(text_pdf(OTHER))
    assert parse(papers, tmp_path) == {"b?d.pdf": "its name is not valid UTF-8 → rename it"}
    assert [row["paper"] for row in read_jsonl(tmp_path / "documents.jsonl")] == ["good"]


def test_a_pipe_or_a_folder_is_not_a_paper(papers: Path, tmp_path: Path) -> None:
    (papers / "good.pdf").write_bytes(text_pdf())
    (papers / "folder.pdf").mkdir()
    os.mkfifo(papers / "pipe.pdf")
    reasons = parse(papers, tmp_path)
    assert set(reasons) == {"folder.pdf", "pipe.pdf"}
    assert set(reasons.values()) == {"it is not a regular file → remove it"}


# --- near duplicates


def test_of_three_versions_all_are_kept_and_reported_unless_the_settings_keep_the_first(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = paper(1)
    for number in (1, 2, 3):
        lines = [
            [*lines[0], f"Version {number} has one more thing to show about the snail."],
            lines[1],
        ]
        (papers / f"paper-v{number}.pdf").write_bytes(text_pdf(lines))
    (papers / "other.pdf").write_bytes(text_pdf(paper(2)))
    assert parse(papers, tmp_path / "run") == {}
    assert len(read_jsonl(tmp_path / "run" / "documents.jsonl")) == 4
    alike = read_json(tmp_path / "run" / "parse.json")["near_duplicates"]
    assert [(one["file"], one["like"]) for one in alike] == [
        ("paper-v2.pdf", "paper-v1.pdf"),
        ("paper-v3.pdf", "paper-v1.pdf"),
    ]
    printed = capsys.readouterr().err
    assert "note: paper-v2.pdf has nearly the same text as paper-v1.pdf (" in printed
    assert "corpus.near_duplicates=reject" in printed
    reasons = parse(papers, tmp_path / "run", near_duplicates="reject")
    assert sorted(reasons) == ["paper-v2.pdf", "paper-v3.pdf"]


# --- what is read already is not read again


def test_only_new_and_changed_papers_are_read(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        (papers / f"{number}.pdf").write_bytes(text_pdf(paper(number)))
    (papers / "scan.pdf").write_bytes(scan())
    parse(papers, tmp_path / "run")
    before = outcome(tmp_path / "run")
    capsys.readouterr()

    assert list(parse(papers, tmp_path / "run")) == ["scan.pdf"]
    assert outcome(tmp_path / "run") == before
    skipped, stored, summary = capsys.readouterr().err.splitlines()
    assert skipped.startswith("skipped scan.pdf: ")
    assert stored == "parse: 4 of 4 papers are read already"
    assert summary == "parse: 3 accepted, 1 rejected"

    (papers / "1.pdf").write_bytes(text_pdf(paper(9)))
    (papers / "new.pdf").write_bytes(text_pdf(paper(8)))
    (papers / "2.pdf").unlink()
    parse(papers, tmp_path / "run")
    printed = capsys.readouterr().err
    assert "parse: 2 of 4 papers are read already" in printed
    assert "3 of 4: 1.pdf" in printed or "4 of 4: 1.pdf" in printed
    # The old text of 1.pdf and the text of 2.pdf are not kept.
    assert len(list((tmp_path / "run" / cache.FOLDER).iterdir())) == 4
    parse(papers, tmp_path / "fresh")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "fresh")


def test_again_reads_papers_that_are_read_already(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (papers / "a.pdf").write_bytes(text_pdf())
    parse(papers, tmp_path)
    capsys.readouterr()
    command(papers, tmp_path, known=[], config=CorpusConfig(), again=True)
    assert "1 of 1: a.pdf" in capsys.readouterr().err


def test_a_kill_at_any_moment_loses_nothing_that_was_read(papers: Path, tmp_path: Path) -> None:
    for number in range(12):
        (papers / f"{number:02}.pdf").write_bytes(text_pdf(paper(number)))
    parse(papers, tmp_path / "whole")
    run = tmp_path / "run"
    read: list[int] = []
    while len(read) < 3:
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(papers), str(run)], stderr=subprocess.PIPE
        ) as parsing:
            # One paper more each time, then a kill.
            seen = 0
            while parsing.stderr and seen < 2 and (line := parsing.stderr.readline()):
                seen += b": 2 pages" in line
            parsing.kill()
        read.append(len(list((run / cache.FOLDER).glob("[!.]*"))))
        assert not (run / "documents.jsonl").exists()
    assert read == sorted(read)
    assert read[0] >= 2
    parse(papers, run)
    assert outcome(run) == outcome(tmp_path / "whole")
    assert not list((run / cache.FOLDER).glob(".*"))


# --- shards


def test_parts_that_are_read_at_once_give_the_bytes_of_one_run(
    papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(9):
        (papers / f"{number}.pdf").write_bytes(text_pdf(paper(number)))
    (papers / "scan.pdf").write_bytes(scan())
    (papers / "same.pdf").write_bytes(text_pdf(paper(3)))
    parse(papers, tmp_path / "whole")
    run = tmp_path / "run"
    parts = [Shard(number=number, count=3) for number in (1, 2, 3)]

    def read(part: Shard) -> None:
        command(papers, run, known=[], config=CorpusConfig(), shard=part)

    with ThreadPoolExecutor() as pool:
        list(pool.map(read, parts))
    assert [path.name for path in run.iterdir()] == [cache.FOLDER]
    printed = capsys.readouterr().err
    assert "parse: part 2/3: " in printed
    parse(papers, run)
    assert "10 of 10 papers are read already" in capsys.readouterr().err
    assert outcome(run) == outcome(tmp_path / "whole")


def test_a_part_without_a_good_paper_is_not_an_error(papers: Path, tmp_path: Path) -> None:
    (papers / "scan.pdf").write_bytes(scan())
    for number in (1, 2):  # one of them has no paper at all
        command(
            papers,
            tmp_path,
            known=[],
            config=CorpusConfig(),
            shard=Shard(number=number, count=2),
        )
    with pytest.raises(DataError):
        parse(papers, tmp_path)


# --- whatever a child does is about its paper only

HOSTILE = """
import os, sys, time
from pathlib import Path
from paperlora.pipeline.parse import child
from paperlora.pipeline.parse.child import prepare

ACTS = {
    "abort": lambda: os.abort(),
    "big": lambda: b"x" * (9 << 20),
    "exit": lambda: os._exit(0),
    "half": lambda: child.encode(child.Outcome(words=9)) + b"{}",
    "kill": lambda: os.kill(os.getpid(), 9),
    "loop": lambda: time.sleep(60),
    "none": lambda: None,
    "raise": lambda: 1 / 0,
    "rubbish": lambda: b"\\xff\\0{}",
}

def answer(request):
    act = ACTS.get(Path(request["path"]).stem)
    return act() if act else child.answer(request)
"""


def test_a_hostile_child_costs_its_paper_only(
    papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
    monkeypatch.setattr("paperlora.pipeline.parse.pool._WORK", "hostile")
    (tmp_path / "hostile.py").write_text(HOSTILE)
    names = re.findall(r'^    "(\w+)": lambda', HOSTILE, re.MULTILINE)
    for number, name in enumerate([*names, "good"]):
        (papers / f"{name}.pdf").write_bytes(text_pdf(paper(number)))
    reasons = parse(papers, tmp_path / "run", timeout_seconds=3)
    assert sorted(reasons) == [f"{name}.pdf" for name in names]
    assert all(" → " in reason for reason in reasons.values())
    assert "signal 6" in reasons["abort.pdf"]
    assert "longer than 8 MiB" in reasons["big.pdf"]
    assert "not read within 3 s" in reasons["loop.pdf"]
    assert "memory" in reasons["kill.pdf"]
    for name in ("exit", "half", "none", "raise", "rubbish"):
        assert "without a result" in reasons[f"{name}.pdf"]
    [document] = read_jsonl(tmp_path / "run" / "documents.jsonl")
    assert document["paper"] == "good"


def test_a_server_that_ends_stops_the_command_and_the_next_one_resumes(
    papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in {"a": 1, "b": 2}.items():
        (papers / f"{name}.pdf").write_bytes(text_pdf(paper(number)))
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
        patch.setattr("paperlora.pipeline.parse.pool._WORK", "hostile")
        killer = HOSTILE.replace(
            '"abort": lambda: os.abort()', '"a": lambda: os.kill(os.getppid(), 9)'
        )
        (tmp_path / "hostile.py").write_text(killer)
        with pytest.raises(DataError, match="starts the readers ended") as caught:
            parse(papers, tmp_path / "run")
        assert "it resumes" in caught.value.remedy
    assert parse(papers, tmp_path / "run") == {}


def test_small_limits_and_an_endless_paper_are_rejections(papers: Path, tmp_path: Path) -> None:
    (papers / "bomb.pdf").write_bytes(bomb(400 << 20))
    (papers / "endless.pdf").write_bytes(endless())
    (papers / "good.pdf").write_bytes(text_pdf())
    reasons = parse(papers, tmp_path, timeout_seconds=4, memory_mib=300, extractor="pypdf2")
    assert sorted(reasons) == ["bomb.pdf", "endless.pdf"]
    assert "needs more than 300 MiB" in reasons["bomb.pdf"]
    assert "not read within 4 s" in reasons["endless.pdf"]
