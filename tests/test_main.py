import json
import os
import signal
import subprocess
import sys
import time

import pytest

from paperlora import __main__ as cli
from paperlora.environment.core import verify
from paperlora.environment.host import record
from paperlora.errors import EnvironmentNotVerifiedError, InputError
from paperlora.files import ROOT, read_json
from paperlora.pipeline.chain import CHAIN


@pytest.fixture
def verified(monkeypatch, tmp_path):
    """Take this environment for a verified one; what it holds is for other tests to check."""
    monkeypatch.setenv("PAPERLORA_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(verify, "require", lambda _: None)
    monkeypatch.setattr(
        record, "make", lambda target: {"target": target, "fingerprint": "f", "findings": [],
                                        "observed": {"gpu": None}},
    )  # fmt: skip


def run(capsys, *words):
    code = cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for name in (*CHAIN, "infer", "fetch", "compare", "verify", "lock"):
        assert name in text


@pytest.mark.parametrize(
    "words", [[], ["trian"], ["train", "evil"], ["train", "--epochs", "3"], ["fetch"]]
)
def test_bad_usage_is_2(words, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["parse", "--papers", "/nonexistent"], 2, "does not exist"),
        (["parse", "--config", "demmo"], 2, "did you mean 'demo'"),
        (["parse", "--set", "train.stepps=3"], 2, "unknown key"),
        (["infer", "--run", "/nonexistent/run", "why?"], 2, "there is no run"),
        (["eval", "--run", "mistyped"], 2, "there is no run"),
        (["report"], 2, "there is no run"),
        (["compare", "/nonexistent/a", "/nonexistent/b"], 2, "there is no run"),
        (["fetch", "--list", "/nonexistent.json"], 2, "cannot read the list"),
    ],
)
def test_a_mistake_is_one_line_with_its_code_and_remedy(
    words, code, says, verified, capsys, tmp_path
):
    if words[0] == "parse":
        words = [*words, "--run", str(tmp_path / "a" / "run")]
    got, out, err = run(capsys, *words)
    assert (got, out) == (code, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("paperlora: ")
    assert says in last
    assert "→" in last
    assert "Traceback" not in err


def test_a_path_that_is_not_utf_8_is_bad_input(verified, capsys, tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102 - a name of bytes
    with open(folder + b"/a.pdf", "wb") as file:  # noqa: PTH123
        file.write(b"%PDF-")
    code, _, err = run(capsys, "parse", "--papers", os.fsdecode(folder), "--run", "named")
    assert code == 2
    assert "corpus.papers is" in err
    assert "UTF-8" in err
    assert not (tmp_path / "runs" / "named" / "config.toml").exists()


def test_debug_shows_the_traceback(verified, capsys):
    _, _, err = run(capsys, "parse", "--config", "demmo", "--debug")
    assert "Traceback" in err


def test_an_environment_that_differs_stops_the_pipeline_unless_told_otherwise(
    monkeypatch, capsys, tmp_path
):
    def refuse(_):
        raise EnvironmentNotVerifiedError("torch is 2.9, locked is 2.10", remedy="env/install.sh")

    monkeypatch.setattr(verify, "require", refuse)
    monkeypatch.setattr(record, "make", lambda _: {"findings": ["torch"], "fingerprint": "f",
                                                   "observed": {}})  # fmt: skip
    words = ["parse", "--papers", "/nonexistent", "--run", str(tmp_path / "a" / "run")]
    code, _, err = run(capsys, *words)
    assert code == 3
    assert "torch is 2.9" in err
    assert run(capsys, *words, "--unverified")[0] == 2  # it went on, to the missing folder


def test_a_full_disk_is_one_line(verified, monkeypatch, capsys, tmp_path):
    from paperlora.pipeline import chain

    def full(*_):
        raise OSError(28, "No space left on device", "documents.jsonl")

    monkeypatch.setattr(chain, "execute", full)
    code, _, err = run(capsys, "parse", "--run", str(tmp_path / "a" / "run"))
    assert code == 5
    assert "No space left on device: documents.jsonl" in err


def test_a_fault_of_its_own_is_said_to_be_one(verified, monkeypatch, capsys):
    from paperlora.pipeline import chain

    monkeypatch.setattr(chain, "execute", lambda *_: 1 / 0)
    code, _, err = run(capsys, "parse")
    assert code == 70
    assert "ZeroDivisionError" in err
    assert "--debug" in err


def test_paths_are_relative_to_where_the_user_stood(verified, monkeypatch, capsys, tmp_path):
    (tmp_path / "pdfs").mkdir()
    monkeypatch.setenv("PAPERLORA_CWD", str(tmp_path))
    monkeypatch.chdir(ROOT)
    code, _, err = run(capsys, "parse", "--papers", "pdfs", "--run", "./run")
    assert code == 2
    assert f"no *.pdf in the folder of papers {tmp_path / 'pdfs'}" in err
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_its_settings_and_says_what_changes(verified, monkeypatch, tmp_path, capsys):
    from paperlora.pipeline import chain

    seen = []
    monkeypatch.setattr(chain, "execute", lambda job, _: seen.append((job.settings, job.forced)))
    (tmp_path / "a.pdf").write_bytes(b"%PDF-")
    first = run(capsys, "parse", "--config", "tiny", "--set", "eval.seed=5", "--papers", tmp_path)
    assert first == (0, "", "")
    name = f"tiny-{tmp_path.name}"
    run(capsys, "parse", "dataset", "--run", name, "--force")
    _, _, err = run(capsys, "parse", "--run", name, "--set", "eval.seed=6")
    assert err == "eval.seed 5 → 6: `eval` and what follows it have to run again\n"
    run(capsys, "parse", "--config", "tiny", "--papers", tmp_path)
    settings = [one.config for one, _ in seen]
    assert settings[0] == settings[1]
    assert settings[0].corpus.papers == str(tmp_path)
    assert seen[1][1] == {"parse", "dataset"}
    assert settings[2] == settings[3]
    assert settings[3].eval.seed == 6


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 2, "max_length"),
        (type("SafetensorError", (Exception,), {})("No space left on device"), 5, "free space"),
        (ModuleNotFoundError("No module named 'jinja2.loaders'"), 3, "verify -- --files"),
        (ImportError("cannot import name 'Loader'"), 3, "verify -- --files"),
    ],
)
def test_a_library_s_error_has_a_remedy(error, code, says, verified, monkeypatch, capsys):
    from paperlora.pipeline import chain

    def fail(*_):
        raise error

    monkeypatch.setattr(chain, "execute", fail)
    got, _, err = run(capsys, "parse")
    assert got == code
    assert says in err


def test_what_a_file_is_named_cannot_write_to_the_terminal(verified, monkeypatch, capsys):
    from paperlora.pipeline import chain

    def fail(*_):
        raise InputError("a\x1b[2Jb\nc")

    monkeypatch.setattr(chain, "execute", fail)
    _, _, err = run(capsys, "parse")
    assert err == "paperlora: a [2Jb c\n"


def test_ctrl_c_in_a_command_is_130_and_leaves_nothing_half_written(tmp_path):
    """A real process, interrupted while it parses."""
    run = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-m", "paperlora", "parse", "--run", f"{run}/", "--unverified"],
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        text=True,
    )
    for _ in range(200):
        if (run / "config.toml").exists():
            break
        time.sleep(0.05)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err.strip().splitlines()[-1] == "paperlora: interrupted"
    left = {path.name for path in run.iterdir()}
    assert left <= {"config.toml", ".lock", ".stamps"}


def test_the_shipped_corpus_parses_whole(tmp_path):
    code = cli.main(["parse", "--run", f"{tmp_path}/run", "--unverified"])
    assert code == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "documents.jsonl").open()]
    assert len(rows) == 12
    assert read_json(tmp_path / "run" / "parse.json")["rejected"] == []
    assert all(row["title"] and row["field"] for row in rows)
    assert all(row["quality"]["known"] > 0.94 for row in rows)
    assert all(1500 <= row["words"] <= 3200 for row in rows), {r["paper"]: r["words"] for r in rows}
