"""`parse --shard` through the command line, and the files of docs/scale that use it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from command_line import chain, good
from pdfs import paper, text_pdf

from paperlora.errors import InputError
from paperlora.files import ROOT
from paperlora.pipeline import run

if TYPE_CHECKING:
    from pathlib import Path

SCALE = ROOT / "docs" / "scale"
WRITTEN = ("documents.jsonl", "parse.json", "config.toml")


@pytest.fixture
def papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAPERLORA_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "papers"
    folder.mkdir()
    for number in range(7):
        (folder / f"{number}.pdf").write_bytes(text_pdf(paper(number)))
    return folder


def parse(*arguments: object):
    return chain("parse", "--config", "tiny", *arguments)


def outputs(tmp_path: Path, name: str) -> list[bytes]:
    return [(tmp_path / "runs" / name / file).read_bytes() for file in WRITTEN]


def test_parts_and_then_all_give_the_bytes_of_one_run(papers: Path, tmp_path: Path) -> None:
    good(parse("--run", "whole", "--papers", papers))
    for number in (2, 1, 3):
        result = good(parse("--run", "parts", "--papers", papers, "--shard", f"{number}/3"))
        assert f"parse: part {number}/3: " in result.err
        assert not (tmp_path / "runs/parts/documents.jsonl").exists()
    result = good(parse("--run", "parts", "--papers", papers))
    assert "7 of 7 papers are read already" in result.err
    assert outputs(tmp_path, "parts") == outputs(tmp_path, "whole")
    assert good(parse("--run", "parts")).nothing_changed("parse")


def test_what_a_part_cannot_do_is_refused(papers: Path, tmp_path: Path) -> None:
    good(parse("--run", "a", "--papers", papers, "--shard", "1/2"))
    for arguments, words in {
        ("--shard", "3/2"): "--shard is '3/2' → give I/N",
        ("dataset", "--shard", "1/2"): "--shard is for `parse` alone, not for dataset",
        (
            *("--shard", "2/2", "--set", "corpus.memory_mib=900"),
        ): "part 2/2 would change the settings of the run: corpus.memory_mib",
    }.items():
        refused = parse("--run", "a", *arguments)
        assert refused.code == 2
        assert words in refused.error
    assert "900" not in (tmp_path / "runs/a/config.toml").read_text()
    assert chain("dataset", "--run", "a", "--shard", "1/2").code == 2  # no such option


def test_force_reads_a_part_again(papers: Path) -> None:
    part = ("--run", "a", "--papers", papers, "--shard", "1/2")
    assert " of 5: " in good(parse(*part)).err
    assert " of 5: " not in good(parse(*part)).err
    assert " of 5: " in good(parse(*part, "--force")).err


def test_parts_share_a_run_that_nothing_else_may_use(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with (
        run.locked(folder, shared=True),
        run.locked(folder, shared=True),
        pytest.raises(InputError, match="in use"),
        run.locked(folder),
    ):
        pass
    assert not folder.exists()  # nothing was stored in it
    with (
        run.locked(folder),
        pytest.raises(InputError, match="in use"),
        run.locked(folder, shared=True),
    ):
        pass


# --- docs/scale


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which `env/nox -s NAME -- ARGUMENTS` runs the command with this interpreter."""
    nox = tmp_path / "checkout" / "env" / "nox"
    nox.parent.mkdir(parents=True)
    nox.write_text(
        f'#!/bin/sh\n[ "$1 $3" = "-s --" ] || exit 99\ncommand=$2; shift 3\n'
        f'exec {sys.executable} -m paperlora "$command" --unverified --config tiny "$@"\n'
    )
    nox.chmod(0o755)
    return nox.parents[1]


def slurm(checkout: Path, *arguments: object, task: int | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    if task is not None:
        environment["SLURM_ARRAY_TASK_ID"] = str(task)
    command = ["bash", str(SCALE / "slurm.sh"), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_slurm_script_reads_parts_and_joins_them(
    papers: Path, tmp_path: Path, checkout: Path
) -> None:
    good(parse("--run", "whole", "--papers", papers))
    options = ("--run", "array", "--papers", papers)
    for task in (1, 2):
        assert f"part {task}/2: " in slurm(checkout, 2, *options, task=task)
    assert "7 of 7 papers are read already" in slurm(checkout, 2, *options)
    assert outputs(tmp_path, "array") == outputs(tmp_path, "whole")


def test_the_slurm_script_has_no_fault_of_syntax(tmp_path: Path) -> None:
    def code(text: str) -> int:
        (tmp_path / "script").write_text(text)
        command = ["bash", "-n", str(tmp_path / "script")]
        return subprocess.run(command, capture_output=True, check=False).returncode

    text = (SCALE / "slurm.sh").read_text()
    assert code(text) == 0
    assert code(text.replace("\nfi\n", "\n")) != 0


def test_the_pods_read_all_parts_and_then_join_them(
    papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, join = (
        yaml.safe_load((SCALE / f"kubernetes-{name}.yaml").read_text())
        for name in ("parts", "join")
    )
    script = parts["spec"]["template"]["spec"]["containers"][0]["args"][0]
    count = parts["spec"]["completions"]
    lines = []
    for index in range(count):
        environment = {"JOB_COMPLETION_INDEX": str(index), "PATH": os.environ["PATH"]}
        command = ["sh", "-c", script.replace("exec python", "echo python")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        lines.append(done.stdout.split())
    shards = [words[words.index("--shard") + 1] for words in lines]
    assert shards == [f"{number}/{count}" for number in range(1, count + 1)]
    # Both jobs give the same options to one run, and mount the same volumes.
    [container] = join["spec"]["template"]["spec"]["containers"]
    options = {
        " ".join(words).partition("--shard")[0].split("paperlora ")[1].strip() for words in lines
    }
    assert options == {" ".join(container["args"])}
    mounts = [
        job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] for job in (parts, join)
    ]
    assert mounts[0] == mounts[1]
    # The options are those of the command.
    for words in (lines[0], ["python", "-m", "paperlora", *container["args"]]):
        arguments = [str(papers) if word == "/papers" else word for word in words[3:]]
        good(chain(*arguments, "--config", "tiny"))
    assert (tmp_path / "runs/all/documents.jsonl").is_file()


def test_the_page_has_the_commands_of_the_script() -> None:
    page = (ROOT / "docs/scale.md").read_text()
    comment = (SCALE / "slurm.sh").read_text()
    commands = re.findall(r"^ {4}(.*sbatch .*)$", page, re.MULTILINE)
    assert len(commands) == 2
    assert all(f"#   {command}\n" in comment for command in commands)
