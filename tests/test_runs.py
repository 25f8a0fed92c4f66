"""Runs that lose nothing: what a user sees when settings, data, code or machine change.

Everything here goes through the command line and looks at the files of the run. Each test names the
fault (F1 to F7: what was found by trying it on an earlier version) or the rule (R1 to R5) that it holds:

F1  `[memory]` was not among the inputs of training.
F2  `eval` and `report` trained again when Python, the GPU or the code changed.
F3  Stored settings were kept only with an explicit `--run`.
F4  `environment.json` described the last command, not the one that made the results.
F5  A mistyped run became a new run; settings were stored before they were possible.
F6  `fetch` overwrote `papers.json` and wrote hashes that nobody asked for.
F7  The base model was known by a relative path, a folder's name or a moving branch.

R1  A command depends on exactly the sections of the configuration that it reads.
R2  Only `train` trains; a finished adapter is never lost; who uses an old one says so.
R3  A run's settings are its own.
R4  Each result carries the record of the environment that made it.
R5  Only the commands that begin a run make one.
"""

from __future__ import annotations

import collections
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import chain, good, json_of, paperlora, settings, tree, weights
from server import PDF, Server, body

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIPPED = Path(__file__).parents[1] / "src/paperlora/papers"
SMALLEST = ("one-compartment-dosing", "pinhole-camera-geometry", "attention-cache-arithmetic")
SMALL = [
    argument
    for value in ("train.max_steps=2", "eval.questions=2", "eval.passages=1",
                  "model.max_length=256", "eval.max_new_tokens=4", "train.warmup_steps=0")
    for argument in ("--set", value)
]  # fmt: skip
STALE = ("train.max_steps", "2 → 4")


@pytest.fixture(scope="session", autouse=True)
def _no_user_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's models, hub and folders."""
    with pytest.MonkeyPatch.context() as patch:
        if "PAPERLORA_MODELS" not in os.environ:
            patch.setenv("PAPERLORA_MODELS", str(tmp_path_factory.mktemp("models")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.delenv("PAPERLORA_CWD", raising=False)
        yield


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "papers"
    folder.mkdir()
    for name in SMALLEST:
        shutil.copy2(SHIPPED / f"{name}.pdf", folder)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, papers: Path) -> Path:
    """The run `a`, trained and scored; only to be copied."""
    runs = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERLORA_RUNS", str(runs))
        good(chain("train", "eval", "--config", "tiny", "--run", "a", "--papers", papers, *SMALL))
    return runs / "a"


@pytest.fixture(scope="session")
def retrained(tmp_path_factory: pytest.TempPathFactory, finished: Path) -> tuple[Path, object]:
    """`finished`, trained again for four steps; only to be read or copied."""
    runs = tmp_path_factory.mktemp("retrained")
    shutil.copytree(finished, runs / "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERLORA_RUNS", str(runs))
        result = good(chain("train", "--run", "a", "--set", "train.max_steps=4"))
    return runs / "a", result


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of runs, which PAPERLORA_RUNS names."""
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setenv("PAPERLORA_RUNS", str(folder))
    return folder


@pytest.fixture
def run(runs: Path, finished: Path) -> Path:
    """A copy of the finished run, named `a`."""
    return Path(shutil.copytree(finished, runs / "a"))


@pytest.fixture
def stale(run: Path) -> Path:
    """The finished run with another number of steps in its settings, not trained again."""
    good(chain("report", "--run", "a", "--set", "train.max_steps=4"))
    assert settings(run)["train"]["max_steps"] == 4
    return run


def _copy_as(run: Path, name: str) -> Path:
    return run.rename(run.with_name(name))


def _other_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this interpreter look like the next patch release."""
    version = collections.namedtuple("version_info", "major minor micro releaselevel serial")  # noqa: PYI024
    now = sys.version_info
    monkeypatch.setattr(sys, "version_info", version(now.major, now.minor, 99, "final", 0))
    text = f"{now.major}.{now.minor}.99"
    monkeypatch.setattr(platform, "python_version", lambda: text)
    monkeypatch.setattr(platform, "python_version_tuple", lambda: tuple(text.split(".")))


def _other_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make a GPU appear to every way of asking for its name."""
    import torch

    tool = tmp_path / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'Pretended GPU, 570.00, 8192, 8192, 8.9'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Pretended GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 9))


def _with_other_code(tmp_path: Path, touched: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a command line from a copy of the source whose pipeline has a comment more."""
    import paperlora as package

    source = tmp_path / "other"
    ignored = shutil.ignore_patterns("*.pdf", "*.tex", "__pycache__")
    if not source.exists():
        shutil.copytree(Path(package.__file__).parent, source / "src/paperlora", ignore=ignored)
        root = Path(package.__file__).parents[2]
        for name in ("lockfiles", "env"):
            shutil.copytree(root / name, source / name)
    changed = [
        path
        for path in (source / "src/paperlora/pipeline").rglob("*.py")
        if touched in path.relative_to(source / "src/paperlora").as_posix()
    ]
    assert changed
    for path in changed:
        path.write_text(path.read_text() + "\n# Another version of the code.\n")
    environment = {**os.environ, "PYTHONPATH": str(source / "src")}
    command = [sys.executable, "-m", "paperlora", *arguments, "--unverified", "--device", "cpu"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


# --- F1: what `[memory]` says takes effect -----------------------------------------------------


def test_memory_step_is_an_input_of_training(run):
    # F1: "nothing changed", while the report claimed the new step.
    result = good(chain("train", "report", "--run", "a", "--set", "memory.step=stock"))
    assert not result.nothing_changed("train")
    assert result.nothing_changed("parse")
    assert result.nothing_changed("dataset")
    assert json_of(run / "train.json")["train"]["how"]["step"] == "stock"
    report = json_of(run / "report.json")
    assert report["config"]["memory"]["step"] == "stock"
    assert report["train"]["how"]["step"] == "stock"


def test_memory_optimizer_is_an_input_of_training(run):
    # F1: the optimiser changes results, so naming another one is not "nothing changed".
    result = good(chain("train", "--run", "a", "--set", "memory.optimizer=adamw"))
    assert not result.nothing_changed("train")
    assert good(chain("train", "--run", "a")).nothing_changed("train")


def test_the_report_does_not_claim_a_memory_setting_that_the_adapter_was_not_made_with(run):
    # F1, R2: `report` alone does not train; then it has to show the difference.
    before = weights(run)
    good(chain("report", "--run", "a", "--set", "memory.step=stock"))
    assert weights(run) == before
    assert json_of(run / "report.json")["train"]["how"]["step"] == "plain"
    [line] = good(chain("report", "--run", "a")).lines_with("memory.step")
    assert "auto → stock" in line
    assert "auto → stock" in (run / "report.html").read_text()


def test_an_interrupted_training_is_not_resumed_with_other_memory_settings(runs, finished):
    # F1: a checkpoint of one step was continued by another one.
    for name in ("a", "b"):
        shutil.copytree(finished, runs / name)
    more = ("--set", "train.max_steps=4", "--set", "train.learning_rate=0.01")
    stopped = chain("train", "--run", "a", *more, interrupt_at="step 2/4")
    assert stopped.code == 130
    stock = ("--set", "memory.step=stock")
    good(chain("train", "--run", "a", *stock))
    good(chain("train", "--run", "b", *more, *stock))
    assert json_of(runs / "a/train.json")["train"]["how"]["step"] == "stock"
    assert weights(runs / "a") == weights(runs / "b")
    steps = [json.loads(line)["step"] for line in (runs / "a/metrics.jsonl").open()]
    assert steps == [json.loads(line)["step"] for line in (runs / "b/metrics.jsonl").open()]


def test_an_optimiser_that_cannot_be_had_is_refused_and_not_stored(run):
    # F1, F5: 8-bit AdamW needs a GPU.
    before = tree(run, but=(".lock",))
    result = chain("train", "--run", "a", "--set", "memory.optimizer=adamw8bit")
    assert result.code == 2
    assert "adamw8bit" in result.error
    assert tree(run, but=(".lock",)) == before


# --- F2 and R2: only `train` trains -------------------------------------------------------------


def test_another_python_is_no_reason_to_do_anything_again(run, monkeypatch):
    # F2: the Python patch release is not part of a key.
    before = tree(run, but=(".lock",))
    _other_python(monkeypatch)
    result = good(chain("train", "eval", "--run", "a"))
    for command in ("parse", "dataset", "train", "eval", "report"):
        assert result.nothing_changed(command), result.err
    assert tree(run, but=(".lock",)) == before


@pytest.mark.parametrize("command", ["eval", "report"])
def test_another_python_leaves_the_adapter_alone(run, monkeypatch, command):
    # F2: also when the command has to work.
    before, record = weights(run), (run / "train.json").read_bytes()
    _other_python(monkeypatch)
    good(chain(command, "--run", "a", "--force"))
    assert weights(run) == before
    assert (run / "train.json").read_bytes() == record
    assert not (run / "adapter.1").exists()


def test_another_gpu_is_no_reason_to_do_anything_again(run, monkeypatch, tmp_path):
    # F2: the visible GPU is not part of a key, nor is the device that `auto` would take.
    before = tree(run, but=(".lock",))
    _other_gpu(monkeypatch, tmp_path)
    result = good(paperlora("train", "eval", "--run", "a", "--unverified"))
    for command in ("parse", "dataset", "train", "eval", "report"):
        assert result.nothing_changed(command), result.err
    assert tree(run, but=(".lock",)) == before


@pytest.mark.parametrize("command", ["eval", "report"])
def test_other_training_code_does_not_train_again(run, tmp_path, command):
    # F2: `eval` and `report` retrained when the code changed. R2: they use the adapter and say so.
    before, record = weights(run), (run / "train.json").read_bytes()
    result = _with_other_code(tmp_path, "pipeline/train", command, "--run", "a")
    assert result.returncode == 0, result.stderr
    assert weights(run) == before
    assert (run / "train.json").read_bytes() == record
    assert not (run / "adapter.1").exists()
    assert "step 1/" not in result.stderr
    assert "step 2/" not in result.stderr
    about = [line for line in result.stderr.splitlines() if "adapter" in line and "code" in line]
    assert len(about) == 1, result.stderr


@pytest.mark.slow
def test_other_training_code_trains_again_with_train(run, tmp_path):
    # R1, R2: the code of training is part of its key; the same bytes need no second copy.
    before = weights(run)
    result = _with_other_code(tmp_path, "pipeline/train", "train", "--run", "a")
    assert result.returncode == 0, result.stderr
    assert "train: nothing changed" not in result.stderr
    assert "parse: nothing changed" in result.stderr
    assert "dataset: nothing changed" in result.stderr
    assert weights(run) == before
    assert not (run / "adapter.1").exists()


@pytest.mark.parametrize("command", ["eval", "report"])
def test_an_adapter_from_other_settings_is_used_and_named_in_one_line(stale, finished, command):
    # R2: one line, which names the setting with both values; the bytes stay.
    result = good(chain(command, "--run", "a", "--force"))
    assert len(result.lines_with(*STALE)) == 1, result.err
    assert len(result.lines_with("train.max_steps")) == 1, result.err
    assert weights(stale) == weights(finished)
    assert not (stale / "adapter.1").exists()


def test_the_report_shows_that_the_adapter_is_from_other_settings(stale):
    # R2: whoever reads only the report has to see it too.
    html = (stale / "report.html").read_text()
    assert "train.max_steps" in html
    assert "2 → 4" in html
    assert json_of(stale / "report.json")["train"]["steps"] == 2


def test_infer_without_settings_writes_none(run, papers):
    # R3: it holds no lock then. A relative folder, written by hand, would be stored as an absolute one.
    path = run / "config.toml"
    relative = os.path.relpath(papers)
    edited = re.sub(r"(?m)^papers = .*$", f'papers = "{relative}"', path.read_text())
    path.write_text(edited)
    good(paperlora("infer", "--run", "a", "--unverified", "--device", "cpu",
                   "--max-new-tokens", "2", "Why?"))  # fmt: skip
    assert path.read_text() == edited


def test_infer_names_what_differs_in_one_line(stale, finished):
    # R2: `infer` answers with the adapter that is there.
    result = good(paperlora("infer", "--run", "a", "--unverified", "--device", "cpu",
                            "--max-new-tokens", "4", "What is a dose?"))  # fmt: skip
    assert len(result.lines_with(*STALE)) == 1, result.err
    assert weights(stale) == weights(finished)


def test_a_run_that_is_as_it_was_made_has_nothing_to_say(run):
    # The negative control of the lines above.
    result = good(chain("eval", "--run", "a", "--force"))
    assert "→" not in result.err
    assert not [line for line in result.err.splitlines() if "settings" in line or "code" in line]


def test_a_setting_that_goes_back_makes_the_adapter_fit_again(stale):
    # R2, R3: the adapter was made from these settings; nobody has to train again.
    good(chain("report", "--run", "a", "--set", "train.max_steps=2"))
    result = good(chain("train", "eval", "--run", "a"))
    assert result.nothing_changed("train")
    assert not result.lines_with("train.max_steps")
    assert "2 → 4" not in (stale / "report.html").read_text()
    assert not (stale / "adapter.1").exists()


def test_eval_does_not_build_the_dataset_again(run):
    # R2: `eval` never parses, builds the dataset or trains.
    card = ("README.md",)  # the model card belongs to the report, and gets a note
    before = {**tree(run / "dataset"), **tree(run / "adapter", but=card)}
    documents = (run / "documents.jsonl").read_bytes()
    good(
        chain("eval", "--run", "a", "--set", "dataset.seed=7", "--set", "dataset.passage_words=50")
    )
    assert {**tree(run / "dataset"), **tree(run / "adapter", but=card)} == before
    assert (run / "documents.jsonl").read_bytes() == documents
    [line] = good(chain("eval", "--run", "a")).lines_with("dataset.passage_words")
    assert "70 → 50" in line


def test_eval_reads_no_papers(run, papers, tmp_path):
    # R2: the folder of papers vanished after the training; the adapter can be scored all the same.
    moved = tmp_path / "moved"
    shutil.copytree(papers, moved)
    good(chain("dataset", "--run", "a", "--papers", moved))
    shutil.rmtree(moved)
    before = weights(run)
    good(chain("eval", "report", "--run", "a", "--force"))
    assert weights(run) == before


def test_train_does_not_lose_a_run_whose_papers_vanished(run, papers, tmp_path):
    # R2: an error, and everything that was there is there.
    moved = tmp_path / "moved"
    shutil.copytree(papers, moved)
    good(chain("train", "eval", "--run", "a", "--papers", moved))
    before = tree(run, but=(".lock",))
    shutil.rmtree(moved)
    result = chain("train", "--run", "a")
    assert result.code in {2, 5}
    assert str(moved) in result.error
    assert tree(run, but=(".lock",)) == before


def test_eval_without_an_adapter_says_to_train(run):
    # R2: the adapter was deleted by hand.
    shutil.rmtree(run / "adapter")
    result = chain("eval", "--run", "a")
    assert result.code in {2, 5}
    assert "train" in result.error
    assert not (run / "adapter").exists()
    assert "step 1/" not in result.err


def test_eval_before_any_training_says_to_train(runs, finished):
    # R2: a run that has a dataset and no adapter.
    run = runs / "a"
    run.mkdir()
    for name in ("config.toml", "documents.jsonl", "parse.json"):
        shutil.copy2(finished / name, run)
    shutil.copytree(finished / "dataset", run / "dataset")
    result = chain("eval", "--run", "a")
    assert result.code in {2, 5}
    assert "train" in result.error
    assert not (run / "adapter").exists()


def test_train_makes_a_deleted_adapter_again(run, finished):
    # R2: "nothing changed" would be untrue.
    shutil.rmtree(run / "adapter")
    good(chain("train", "--run", "a"))
    assert weights(run) == weights(finished)
    assert not (run / "adapter.1").exists()


@pytest.mark.parametrize("command", ["eval", "infer"])
def test_half_an_adapter_is_an_error_that_says_what_to_do(run, command):
    # R2: not a fault of paperlora (70), and no training.
    (run / "adapter/adapter_config.json").unlink()
    before = weights(run)
    question = ("Why?",) if command == "infer" else ("--force",)
    result = chain(command, "--run", "a", *question)
    assert result.code in {2, 5}
    assert "adapter" in result.error
    assert weights(run) == before


def test_an_adapter_that_someone_changed_is_not_lost(run, finished):
    # R2: other bytes than the run's own; `train` makes its own again, and keeps these.
    from safetensors.torch import load_file, save_file

    file = run / "adapter/adapter_model.safetensors"
    save_file({name: value * 2 for name, value in load_file(file).items()}, file)
    changed = weights(run)
    result = good(chain("train", "--run", "a"))
    assert not result.nothing_changed("train")
    assert weights(run) == weights(finished)
    assert weights(run, "adapter.1") == changed


def test_scores_of_an_adapter_that_someone_changed_are_computed_again(run, finished):
    # R2: "eval: nothing changed" would show the scores of other weights.
    from safetensors.torch import load_file, save_file

    file = run / "adapter/adapter_model.safetensors"
    save_file({name: value + 0.5 for name, value in load_file(file).items()}, file)
    changed = weights(run)
    result = chain("eval", "--run", "a")
    assert weights(run) == changed
    if result.code:
        assert result.code in {2, 5}
        assert "adapter" in result.error
    else:
        assert not result.nothing_changed("eval")
        assert json_of(run / "eval.json")["tuned"] != json_of(finished / "eval.json")["tuned"]


def test_an_adapter_without_the_record_of_its_training_is_not_lost(run, finished):
    # R2: train.json was deleted; nobody can tell what the adapter was made from.
    (run / "train.json").unlink()
    for command in (("eval", "--force"), ("report", "--force"), ("infer", "Why?")):
        result = chain(command[0], "--run", "a", *command[1:])
        assert result.code in {0, 2, 5}, result.err
        assert weights(run) == weights(finished)
    good(chain("train", "--run", "a", "--set", "train.seed=5"))
    assert weights(run, "adapter.1") == weights(finished)
    assert json_of(run / "train.json")["train"]["steps"] == 2


def test_putting_a_kept_adapter_back_tells_nothing_untrue(runs, retrained, finished):
    # R2: a user prefers the old adapter and moves it back; train.json is still that of the other.
    run = Path(shutil.copytree(retrained[0], runs / "a"))
    (run / "adapter").rename(run / "adapter.new")
    (run / "adapter.1").rename(run / "adapter")
    result = chain("eval", "--run", "a")
    assert weights(run) == weights(finished)
    if result.code == 0:
        assert [line for line in result.err.splitlines() if "adapter" in line], result.err
        report = json_of(run / "report.json")
        shown = report["train"]["steps"] == 2 or "adapter" in json.dumps(report).lower()
        assert shown
    else:
        assert result.code in {2, 5}
        assert "adapter" in result.error
    good(chain("train", "--run", "a"))
    kept = [weights(run, path.name) for path in run.glob("adapter*") if path.is_dir()]
    assert weights(finished) in kept
    assert weights(retrained[0]) in kept


def test_an_adapter_from_other_data_is_named_in_one_line(run, papers, tmp_path, finished):
    # R2: a paper more, read and made into examples, but not trained on.
    more = tmp_path / "papers"
    shutil.copytree(papers, more)
    good(chain("train", "eval", "--run", "a", "--papers", more))
    assert good(chain("eval", "--run", "a")).nothing_changed("eval")
    shutil.copy2(SHIPPED / "convolution-arithmetic.pdf", more)
    assert good(chain("eval", "--run", "a")).nothing_changed("eval")  # it reads no papers
    good(chain("dataset", "--run", "a"))
    result = good(chain("eval", "--run", "a"))
    assert not result.nothing_changed("eval")
    about = [line for line in result.err.splitlines() if "adapter" in line and "train" in line]
    assert len(about) == 1, result.err
    assert weights(run) == weights(finished)


def test_a_second_training_keeps_the_first_adapter(retrained, finished):
    # R2: adapter.1 is the old adapter, with the record of its own training, and stderr says so.
    run, result = retrained
    assert weights(run) != weights(finished)
    assert tree(run / "adapter.1") == tree(finished / "adapter")
    assert (run / "adapter.1/train.json").read_bytes() == (finished / "train.json").read_bytes()
    assert json_of(run / "train.json")["train"]["max_steps"] == 4
    assert len(result.lines_with("adapter.1")) == 1, result.err


def test_two_more_trainings_keep_both_older_adapters(runs, retrained, finished):
    # R2: adapter.1, then adapter.2; the numbers never move.
    run = Path(shutil.copytree(retrained[0], runs / "a"))
    second = weights(run)
    result = good(chain("train", "--run", "a", "--set", "train.seed=5"))
    assert len({weights(run), second, weights(finished)}) == 3
    assert weights(run, "adapter.1") == weights(finished)
    assert weights(run, "adapter.2") == second
    assert json_of(run / "adapter.2/train.json")["train"]["max_steps"] == 4
    assert not (run / "adapter.3").exists()
    assert result.lines_with("adapter.2")


def test_going_back_to_old_settings_and_training_gives_the_old_bytes_beside_the_kept_ones(
    runs, retrained, finished
):
    # R2: the middle adapter is kept as well.
    run = Path(shutil.copytree(retrained[0], runs / "a"))
    second = weights(run)
    good(chain("train", "--run", "a", "--set", "train.max_steps=2"))
    assert weights(run) == weights(finished)
    assert weights(run, "adapter.2") == second


def test_a_folder_that_the_user_named_adapter_1_is_not_overwritten(run, finished):
    # R2: what is there is not paperlora's to replace.
    (run / "adapter.1").mkdir()
    (run / "adapter.1/mine.txt").write_text("mine")
    good(chain("train", "--run", "a", "--set", "train.seed=5"))
    assert tree(run / "adapter.1") == {"mine.txt": b"mine"}
    assert weights(run, "adapter.2") == weights(finished)


def test_a_forced_training_with_the_same_bytes_keeps_no_copy(run, finished):
    # R2: --force trains again; the same bytes are not kept twice.
    result = good(chain("train", "--run", "a", "--force"))
    assert not result.nothing_changed("train")
    assert weights(run) == weights(finished)
    assert not (run / "adapter.1").exists()
    assert "adapter.1" not in result.err


def test_force_with_eval_scores_again_and_does_not_train(run, finished):
    # R2: --force is for the commands that are named.
    good(chain("eval", "--run", "a", "--force", "--set", "train.seed=5"))
    assert weights(run) == weights(finished)
    assert (run / "train.json").read_bytes() == (finished / "train.json").read_bytes()
    assert not (run / "adapter.1").exists()


def test_ctrl_c_while_training_again_leaves_the_old_adapter(run, finished):
    # R2: until the new adapter is whole, the old one stays, and its record with it.
    more = ("--set", "train.max_steps=4")
    stopped = chain("train", "--run", "a", *more, interrupt_at="step 2/4")
    assert stopped.code == 130
    assert tree(run / "adapter") == tree(finished / "adapter")
    assert (run / "train.json").read_bytes() == (finished / "train.json").read_bytes()
    assert not (run / "adapter.1").exists()
    # It can be used meanwhile, and the line says what it was made from.
    scored = good(chain("eval", "--run", "a"))
    assert len(scored.lines_with(*STALE)) == 1, scored.err
    assert weights(run) == weights(finished)
    # The report draws the training of the adapter that is there, not that of the unfinished one.
    report = json_of(run / "report.json")
    assert report["train"]["steps"] == 2
    assert [step for step, _ in report["train"]["loss"]] == [1, 2]


def test_training_resumes_to_the_same_bytes_and_then_keeps_the_old_adapter(
    run, finished, retrained
):
    # R2: `eval` in between does not disturb the checkpoint.
    stopped = chain("train", "--run", "a", "--set", "train.max_steps=4", interrupt_at="step 2/4")
    assert stopped.code == 130
    good(chain("eval", "--run", "a", "--force"))
    result = good(chain("train", "--run", "a"))
    assert weights(run) == weights(retrained[0])
    assert weights(run, "adapter.1") == weights(finished)
    assert (run / "adapter.1/train.json").read_bytes() == (finished / "train.json").read_bytes()
    assert result.lines_with("adapter.1")


def test_ctrl_c_in_a_forced_training_leaves_the_adapter(run, finished):
    # R2: --force is no licence to lose it.
    stopped = chain("train", "--run", "a", "--force", interrupt_at="up to 2 steps")
    assert stopped.code == 130
    assert tree(run / "adapter") == tree(finished / "adapter")
    assert (run / "train.json").read_bytes() == (finished / "train.json").read_bytes()


@pytest.mark.slow
def test_a_training_that_is_killed_leaves_the_old_adapter(run, finished):
    # R2: no handler runs at a power cut.
    command = [sys.executable, "-u", "-m", "paperlora", "train", "--run", "a", "--unverified",
               "--device", "cpu", "--set", "train.max_steps=40"]  # fmt: skip
    import paperlora as package

    path = str(Path(package.__file__).absolute().parents[1])
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        seen = next((line for line in process.stderr if "step " in line and "/40" in line), "")
        process.kill()
    assert seen
    assert tree(run / "adapter") == tree(finished / "adapter")
    assert (run / "train.json").read_bytes() == (finished / "train.json").read_bytes()
    result = good(chain("eval", "--run", "a", "--force"))
    assert len(result.lines_with("train.max_steps", "2 → 40")) == 1
    assert json_of(run / "report.json")["train"]["steps"] == 2


def test_a_training_that_was_given_up_is_not_taken_for_done(run, finished):
    # R2: interrupted with four steps, set back to two: the adapter that is there is the right one.
    chain("train", "--run", "a", "--set", "train.max_steps=4", interrupt_at="step 2/4")
    result = good(chain("train", "--run", "a", "--set", "train.max_steps=2"))
    assert weights(run) == weights(finished)
    assert not (run / "adapter.1").exists()
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").open()]
    assert max(steps) == 2, steps
    assert json_of(run / "train.json")["train"]["max_steps"] == 2
    assert good(chain("eval", "--run", "a", "--force")).code == 0
    assert not result.lines_with("adapter.1")


def test_a_training_that_fails_leaves_the_old_adapter(run, finished):
    # R2: a rank that the model has no room for, a loss that is not finite: whatever stops it.
    result = chain("train", "--run", "a", "--set", "train.learning_rate=1e300")
    if result.code:
        assert tree(run / "adapter") == tree(finished / "adapter")
        assert (run / "train.json").read_bytes() == (finished / "train.json").read_bytes()
    else:
        assert weights(run, "adapter.1") == weights(finished)


def test_report_after_an_interrupted_eval_tells_nothing_untrue(run, finished):
    # R2, R4: either the old scores, whole, or a message that `eval` has to run; never half of each.
    stopped = chain("eval", "--run", "a", "--set", "eval.questions=3", "--force",
                    interrupt_at="with the base model")  # fmt: skip
    assert stopped.code == 130
    assert weights(run) == weights(finished)
    result = chain("report", "--run", "a")
    if result.code == 0:
        scores = json_of(run / "report.json")["eval"]
        assert scores["tuned"] == json_of(finished / "eval.json")["tuned"]
        [line] = result.lines_with("eval.questions")
        assert "2 → 3" in line
    else:
        assert result.code in {2, 5}
        assert "eval" in result.error
    good(chain("eval", "--run", "a"))
    assert json_of(run / "report.json")["eval"]["base"]["test"]["n"] == 3


def test_report_alone_does_not_show_scores_of_another_adapter_as_its_own(runs, retrained):
    # R2: trained again, not scored again: the scores are those of the old adapter.
    shutil.copytree(retrained[0], runs / "a")
    result = chain("report", "--run", "a")
    if result.code == 0:
        assert [line for line in result.err.splitlines() if "eval" in line or "score" in line]
        assert not result.nothing_changed("report")
    else:
        assert result.code in {2, 5}
        assert "eval" in result.error
    scored = good(chain("eval", "--run", "a"))
    assert not scored.nothing_changed("eval")


# --- R1: what a command does not get it cannot depend on ----------------------------------------


@pytest.mark.parametrize(
    ("change", "again", "kept"),
    [
        ("corpus.timeout_seconds=61", {"parse"}, set()),
        ("dataset.answer_words=40", {"dataset", "train"}, {"parse"}),
        ("adapter.alpha=32", {"train"}, {"parse", "dataset"}),
        ("train.learning_rate=0.001", {"train"}, {"parse", "dataset"}),
        ("memory.loss_chunk=128", {"train"}, {"parse", "dataset"}),
        ("eval.threshold=0.6", set(), {"parse", "dataset", "train"}),
    ],
)
def test_train_depends_on_the_sections_that_it_reads(run, change, again, kept):
    # R1: one table; each section with the commands that do their work again.
    result = good(chain("train", "--run", "a", "--set", change))
    for command in again:
        assert not result.nothing_changed(command), result.err
    for command in kept:
        assert result.nothing_changed(command), result.err


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("eval.threshold=0.6", True),
        ("memory.loss_chunk=128", False),
        ("train.learning_rate=0.001", False),
        ("corpus.timeout_seconds=61", False),
    ],
)
def test_eval_depends_on_the_sections_that_it_reads(run, finished, change, again):
    # R1: the scores do not depend on what only training reads.
    result = good(chain("eval", "--run", "a", "--set", change))
    assert result.nothing_changed("eval") is not again, result.err
    assert weights(run) == weights(finished)


def test_a_copied_run_and_a_renamed_run_have_nothing_to_do(run):
    # R1: the place of a run is not part of a key.
    moved = _copy_as(run, "renamed")
    before = tree(moved, but=(".lock", "report.json", "report.html", "README.md"))
    result = good(chain("train", "eval", "--run", "renamed"))
    for command in ("parse", "dataset", "train", "eval"):
        assert result.nothing_changed(command), result.err
    assert tree(moved, but=(".lock", "report.json", "report.html", "README.md")).items() >= (
        before.items() - {(k, v) for k, v in before.items() if k.startswith(".")}
    )


# --- F3 and R3: a run's settings are its own -----------------------------------------------------


def test_settings_are_kept_without_run(runs, finished, monkeypatch):
    # F3: `train --set train.max_steps=…`, then `eval`: the steps were discarded for the default.
    run = Path(shutil.copytree(finished, runs / "demo"))
    before = (run / "config.toml").read_bytes()
    result = good(chain("eval"))
    assert (run / "config.toml").read_bytes() == before
    assert weights(run) == weights(finished)
    assert result.nothing_changed("eval")


def test_settings_are_kept_when_the_configuration_is_named_again(runs, finished, papers):
    # F3: `train --config tiny --papers P --set …`, then the same without --set.
    run = Path(shutil.copytree(finished, runs / "tiny-papers"))
    before = (run / "config.toml").read_bytes()
    result = good(chain("train", "eval", "--config", "tiny", "--papers", papers))
    assert (run / "config.toml").read_bytes() == before
    assert result.nothing_changed("train")
    assert result.nothing_changed("eval")
    again = good(chain("train", "--config", "tiny", "--run", "tiny-papers"))
    assert (run / "config.toml").read_bytes() == before
    assert again.nothing_changed("train")


def test_what_is_set_in_two_commands_adds_up(run):
    # R3: each --set changes one value and keeps the others.
    good(chain("report", "--run", "a", "--set", "train.max_steps=4"))
    good(chain("report", "--run", "a", "--set", "train.seed=5"))
    now = settings(run)
    assert (now["train"]["max_steps"], now["train"]["seed"]) == (4, 5)
    assert now["eval"] == {**now["eval"], "questions": 2, "passages": 1, "max_new_tokens": 4}
    assert now["model"]["max_length"] == 256


def test_set_says_what_changed_and_what_has_to_be_done_again(run):
    # R3: each change with both values, and the commands that have to run.
    result = good(chain("report", "--run", "a", "--set", "train.max_steps=4",
                        "--set", "eval.questions=3"))  # fmt: skip
    assert result.lines_with("train.max_steps", "2", "4", "train")
    assert result.lines_with("eval.questions", "2 → 3")
    again = "\n".join(line for line in result.err.splitlines() if "again" in line)
    assert "train" in again
    assert "eval" in again


def test_setting_the_value_that_is_there_changes_nothing(run):
    # R3: the negative control.
    before = (run / "config.toml").read_bytes()
    result = good(chain("train", "--run", "a", "--set", "train.max_steps=2"))
    assert result.nothing_changed("train")
    assert not result.lines_with("train.max_steps")
    assert (run / "config.toml").read_bytes() == before


@pytest.mark.parametrize("command", ["train", "eval", "report", "infer"])
@pytest.mark.parametrize(
    ("typo", "named"),
    [
        ("train.max_stepz=3", "max_steps"),
        ("trian.max_steps=3", "train"),
        ("train.max_steps=many", "train.max_steps"),
        ("train.max_steps=-1", "train.max_steps"),
        ("memory.step=fast", "memory.step"),
        ("max_steps=3", "max_steps"),
        ("train.max_steps", "train.max_steps"),
    ],
)
def test_a_setting_with_a_typo_leaves_the_run_as_it_was(run, command, typo, named):
    # R3: exit code 2, one line that names the key, not a byte changed.
    before = tree(run, but=(".lock",))
    question = ("Why?",) if command == "infer" else ()
    result = chain(command, "--run", "a", "--set", "train.seed=9", "--set", typo, *question)
    assert result.code == 2
    assert named in result.error
    assert tree(run, but=(".lock",)) == before


def test_only_what_changed_in_the_file_changes_in_the_run(runs, papers, finished, tmp_path):
    # R3: the run began with a file; --set changed one value; later the file gets another one.
    file = tmp_path / "mine.toml"
    text = (finished / "config.toml").read_text()
    file.write_text(text)
    good(chain("dataset", "--config", file, "--run", "m"))
    good(chain("dataset", "--run", "m", "--set", "train.max_steps=5"))
    file.write_text(text.replace("threshold = 0.5", "threshold = 0.6"))
    result = good(chain("dataset", "--config", file, "--run", "m"))
    now = settings(runs / "m")
    assert now["eval"]["threshold"] == 0.6
    assert now["train"]["max_steps"] == 5
    assert result.lines_with("eval.threshold", "0.5 → 0.6")
    assert not result.lines_with("train.max_steps")
    # Once taken over, it is the run's own: --set is not undone by the same file.
    good(chain("dataset", "--run", "m", "--set", "eval.threshold=0.7"))
    good(chain("dataset", "--config", file, "--run", "m"))
    assert settings(runs / "m")["eval"]["threshold"] == 0.7


def test_an_edited_config_of_a_run_takes_effect(run, finished):
    # R3: people edit config.toml; it counts like --set.
    stored = run / "config.toml"
    stored.write_text(stored.read_text().replace("max_steps = 2", "max_steps = 4"))
    result = good(chain("eval", "--run", "a", "--force"))
    assert len(result.lines_with(*STALE)) == 1, result.err
    assert settings(run)["train"]["max_steps"] == 4
    assert weights(run) == weights(finished)


@pytest.mark.parametrize("command", ["train", "eval", "report", "infer"])
@pytest.mark.parametrize(
    ("found", "edited", "named"),
    [
        (b"[train]", b"[train", ""),
        (b"[train]", b"\xff\xfe\x00", ""),
        (b"max_steps", b"max_stepz", "max_steps"),
        (b"max_steps = 2", b"max_steps = 'x'", "train.max_steps"),
    ],
)
def test_an_unreadable_config_is_an_error_and_is_not_replaced(run, command, found, edited, named):
    # R3: not a fresh start with the defaults, which would train over the adapter.
    stored = run / "config.toml"
    stored.write_bytes(stored.read_bytes().replace(found, edited, 1))
    before = tree(run, but=(".lock",))
    question = ("Why?",) if command == "infer" else ()
    result = chain(command, "--run", "a", *question)
    assert result.code == 2
    assert "config.toml" in result.error  # the user did not type the value: say where it is
    assert named in result.error
    assert tree(run, but=(".lock",)) == before


def test_a_lost_config_costs_no_adapter(run, papers, finished):
    # R2, R3: config.toml was deleted; training anew with other settings keeps the old adapter.
    (run / "config.toml").unlink()
    arguments = ("--config", "tiny", "--run", "a", "--papers", papers, *SMALL)
    result = chain("train", *arguments, "--set", "train.seed=5")
    kept = [weights(run, path.name) for path in run.glob("adapter*") if path.is_dir()]
    assert weights(finished) in kept
    assert result.code in {0, 2, 5}


@pytest.mark.parametrize("spelling", ["{run}", "{run}/", "./a", "a/", "../runs/a", "{run}/../a"])
def test_a_run_named_by_its_folder_is_the_same_run(run, monkeypatch, spelling):
    # R3: with and without a slash, absolute and relative.
    monkeypatch.chdir(run.parent)
    before = tree(run, but=(".lock", "report.json", "report.html"))
    result = good(chain("train", "eval", "--run", spelling.format(run=run)))
    for command in ("parse", "dataset", "train", "eval"):
        assert result.nothing_changed(command), result.err
    assert tree(run, but=(".lock", "report.json", "report.html")) == before
    assert [path.name for path in run.parent.iterdir()] == ["a"]


def test_a_run_named_from_another_folder_is_the_same_run(run, monkeypatch, tmp_path):
    # R3: nox moves to its own folder; PAPERLORA_CWD is where the user is.
    monkeypatch.setenv("PAPERLORA_CWD", str(run.parent))
    monkeypatch.chdir(tmp_path)
    before = (run / "config.toml").read_bytes()
    result = good(chain("train", "eval", "--run", "./a"))
    assert result.nothing_changed("train")
    assert result.nothing_changed("eval")
    assert (run / "config.toml").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_papers_named_from_another_folder_are_stored_with_their_whole_path(
    runs, papers, monkeypatch
):
    # R3: a setting that is only true in one folder is not the run's own.
    import paperlora as package

    source = Path(package.__file__).absolute().parents[1]
    monkeypatch.setenv("PYTHONPATH", str(source))  # for the children that read the papers
    monkeypatch.setenv("PAPERLORA_CWD", str(papers.parent))
    good(chain("parse", "--config", "tiny", "--run", "a", "--papers", "papers"))
    assert settings(runs / "a")["corpus"]["papers"] == str(papers)
    monkeypatch.delenv("PAPERLORA_CWD")
    assert good(chain("parse", "--run", "a")).nothing_changed("parse")


def test_other_papers_change_a_run_like_a_setting(run, papers, tmp_path, finished):
    # R3: --papers acts like --set corpus.papers=…; R2: `eval` goes on with the adapter.
    other = tmp_path / "other"
    shutil.copytree(papers, other)
    result = good(chain("eval", "--run", "a", "--papers", other))
    assert settings(run)["corpus"]["papers"] == str(other)
    assert result.lines_with("corpus.papers", str(papers), str(other))
    assert settings(run)["train"] == settings(finished)["train"]
    assert weights(run) == weights(finished)


# --- F4 and R4: each result carries its environment ----------------------------------------------


def test_each_record_holds_the_environment_that_made_it(run):
    # F4: environment.json belonged to whichever command ran last.
    assert not (run / "environment.json").exists()
    trained = json_of(run / "train.json")["environment"]
    scored = json_of(run / "eval.json")["environment"]
    assert trained["fingerprint"] == scored["fingerprint"]
    assert trained["python"] == platform.python_version()
    report = json_of(run / "report.json")
    assert report["environment"] == trained
    assert report["environments"] == {"train": trained, "eval": scored}


def test_a_report_drawn_elsewhere_does_not_change_the_records(run, monkeypatch, finished):
    # F4: `report` in another environment is not "the environment that computed it all".
    _other_python(monkeypatch)
    good(chain("report", "--run", "a", "--force"))
    for name in ("train.json", "eval.json"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()
    report = json_of(run / "report.json")
    assert (
        report["environment"]["python"] == json_of(finished / "train.json")["environment"]["python"]
    )
    assert not (run / "environment.json").exists()


def test_scores_made_elsewhere_carry_their_own_environment(run, monkeypatch, finished):
    # R4: trained with one Python, scored with the next; the report says in words that they differ.
    same = (run / "report.html").read_text()
    _other_python(monkeypatch)
    good(chain("eval", "--run", "a", "--force"))
    assert (run / "train.json").read_bytes() == (finished / "train.json").read_bytes()
    trained = json_of(run / "train.json")["environment"]
    scored = json_of(run / "eval.json")["environment"]
    assert scored["python"].endswith(".99")
    assert scored["fingerprint"] != trained["fingerprint"]
    report = json_of(run / "report.json")
    assert report["environment"] == trained
    assert report["environments"] == {"train": trained, "eval": scored}
    html = (run / "report.html").read_text()
    assert scored["fingerprint"][:8] in html
    assert trained["fingerprint"][:8] in html
    assert "differ" in html
    assert html.count("differ") > same.count("differ")


def test_a_new_record_of_the_environment_does_not_undo_the_training(run):
    # R4: the environment is recorded, not a key.
    record = json_of(run / "eval.json")
    record["environment"]["fingerprint"] = "0" * 64
    (run / "eval.json").write_text(json.dumps(record))
    good(chain("report", "--run", "a", "--force"))
    assert json_of(run / "report.json")["environments"]["eval"]["fingerprint"] == "0" * 64
    assert "differ" in (run / "report.html").read_text()


# --- F5 and R5: a mistyped run is not a new run --------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("eval", "--run", "demmo"),
        ("eval", "--run", "demmo", "--force"),
        ("eval", "report", "--run", "demmo"),
        ("eval", "--run", "demmo", "--config", "tiny"),
        ("report", "--run", "demmo"),
        ("report", "--run", "demmo", "--set", "eval.questions=3"),
        ("infer", "--run", "demmo", "Why?"),
    ],
)
def test_a_mistyped_run_is_not_begun(run, runs, arguments):
    # F5, R5: exit code 2, one line with the names that are close, and no folder.
    _copy_as(run, "demo")
    (runs / "unlike-it").mkdir()
    before = tree(runs, but=(".lock",))
    result = chain(*arguments)
    assert result.code == 2
    assert "demmo" in result.error
    assert "did you mean 'demo'?" in result.error
    assert "unlike-it" not in result.error
    assert tree(runs, but=(".lock",)) == before
    assert sorted(path.name for path in runs.iterdir()) == ["demo", "unlike-it"]


def test_compare_with_a_run_that_is_missing(run, runs):
    # R5: either side; it is bad input, not a finding.
    _copy_as(run, "demo")
    for pair in (("demo", "demmo"), ("demmo", "demo")):
        result = paperlora("compare", *pair)
        assert result.code == 2
        assert "demmo" in result.error
        assert "did you mean 'demo'?" in result.error
    assert [path.name for path in runs.iterdir()] == ["demo"]
    assert paperlora("compare", "demo", "demo").code == 0


@pytest.mark.parametrize("command", ["eval", "report", "infer"])
def test_the_default_run_is_not_begun_either(runs, command):
    # R5: no run at all, not even the folder of runs.
    runs.rmdir()
    question = ("Why?",) if command == "infer" else ()
    result = chain(command, *question)
    assert result.code == 2
    assert "demo" in result.error
    assert "train" in result.error
    assert not runs.exists()


def test_a_folder_that_is_not_a_run_is_not_made_one(runs, papers):
    # R5: --run with the folder of papers, by mistake.
    before = tree(papers)
    result = chain("eval", "--run", f"{papers}/")
    assert result.code == 2
    assert tree(papers) == before


@pytest.mark.parametrize("command", ["parse", "dataset", "train"])
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--papers", "{tmp}/nowhere"), "nowhere"),
        (("--papers", "{tmp}/empty"), "empty"),
        (("--set", "model.id={tmp}/no-model"), "no-model"),
        (("--set", "model.id=tiny-gemma-4n"), "tiny-gemma-4n"),
        (("--set", "memory.step=fused"), "memory.step"),
        (("--set", "train.max_steps=0.5"), "train.max_steps"),
    ],
)
def test_settings_that_cannot_be_had_are_not_stored(
    runs, finished, tmp_path, papers, command, arguments, named
):
    # F5, R3: neither in a new run nor in one that exists.
    (tmp_path / "empty").mkdir()
    run = Path(shutil.copytree(finished, runs / "a"))
    before = tree(run, but=(".lock",))
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    new = ("--config", "tiny", "--papers", papers, *SMALL)
    result = chain(command, "--run", "new", *new, *given)
    assert result.code in {2, 5}
    assert named in result.error
    assert not (runs / "new/config.toml").exists()
    result = chain(command, "--run", "a", *given)
    assert result.code in {2, 5}
    assert named in result.error
    assert tree(run, but=(".lock",)) == before


@pytest.mark.parametrize("command", ["eval", "report"])
@pytest.mark.parametrize(
    "change", ["corpus.papers={tmp}/nowhere", "model.id=tiny-gemma-4n", "memory.step=fused"]
)
def test_a_command_that_does_not_need_a_setting_does_not_store_an_impossible_one(
    run, tmp_path, command, change
):
    # F5, R3: the run would be broken for the next `train`.
    before = tree(run, but=(".lock",))
    result = chain(command, "--run", "a", "--set", change.format(tmp=tmp_path))
    assert result.code in {2, 5}
    assert change.partition("=")[0] in result.error or change[-7:] in result.error
    assert tree(run, but=(".lock",)) == before


def test_a_run_with_a_close_name_can_still_be_begun(run, runs, papers):
    # R5: `parse`, `dataset` and `train` begin a run, whatever it is called.
    _copy_as(run, "demo")
    before = tree(runs / "demo", but=(".lock",))
    good(chain("parse", "--config", "tiny", "--run", "demo2", "--papers", papers))
    assert (runs / "demo2/config.toml").is_file()
    assert tree(runs / "demo", but=(".lock",)) == before


# --- F6: fetch loses no title --------------------------------------------------------------------


@pytest.fixture
def lists(tmp_path: Path) -> Iterator[Path]:
    """Two lists of one paper each, which a server on this machine has."""
    with Server() as server:
        for name in ("one", "two"):
            paper = {
                "name": name,
                "title": f"Title {name}",
                "field": "ai",
                "url": server.put(f"/{name}", body()),
            }
            (tmp_path / f"{name}.json").write_text(json.dumps([paper]))
        yield tmp_path


def _fetch(lists: Path, name: str, *more: str):
    return paperlora(
        "fetch", "--list", lists / f"{name}.json", "--to", lists / "to", "--unverified", *more
    )


def _titles(lists: Path) -> dict[str, str]:
    return {paper["name"]: paper["title"] for paper in json_of(lists / "to/papers.json")}


def test_two_lists_into_one_folder_keep_both_titles(lists):
    # F6: the second list overwrote the first one's titles and hashes.
    good(_fetch(lists, "one", "--record"))
    good(_fetch(lists, "two", "--record"))
    assert _titles(lists) == {"one": "Title one", "two": "Title two"}
    digest = hashlib.sha256(PDF).hexdigest()
    assert {p["name"]: p["sha256"] for p in json_of(lists / "to/papers.json")} == {
        "one": digest, "two": digest,
    }  # fmt: skip
    good(_fetch(lists, "one"))  # once more, without --record: the hash that is there stays
    assert [p["sha256"] for p in json_of(lists / "to/papers.json")] == [digest, digest]


def test_hashes_are_written_only_with_record(lists):
    # F6: without --record they were written all the same.
    listed = (lists / "one.json").read_bytes()
    good(_fetch(lists, "one"))
    [paper] = json_of(lists / "to/papers.json")
    assert not paper.get("sha256")
    assert (lists / "one.json").read_bytes() == listed
    good(_fetch(lists, "one", "--record"))
    assert json_of(lists / "one.json")[0]["sha256"] == hashlib.sha256(PDF).hexdigest()


def test_a_title_that_someone_wrote_by_hand_is_kept(lists):
    # F6: papers.json of a folder describes papers that are in no list.
    (lists / "to").mkdir()
    (lists / "to/mine.pdf").write_bytes(PDF)
    mine = {"name": "mine", "title": "My own", "field": "health", "file": "mine.pdf"}
    (lists / "to/papers.json").write_text(json.dumps([mine]))
    good(_fetch(lists, "one"))
    assert _titles(lists) == {"mine": "My own", "one": "Title one"}
    [kept] = [paper for paper in json_of(lists / "to/papers.json") if paper["name"] == "mine"]
    assert {key: value for key, value in kept.items() if value is not None} == mine


def test_a_broken_list_in_the_target_folder_is_not_overwritten(lists):
    # F6: a typing error in it must not cost the titles.
    (lists / "to").mkdir()
    (lists / "to/papers.json").write_text('[{"name": "mine", "title": "My own"')
    result = _fetch(lists, "one")
    assert result.code in {2, 5}
    assert "papers.json" in result.error
    assert (lists / "to/papers.json").read_text() == '[{"name": "mine", "title": "My own"'


def test_a_paper_that_fails_costs_no_title(lists):
    # F6: one address is dead; what the folder had stays, and so does what was fetched.
    good(_fetch(lists, "one"))
    papers = json_of(lists / "two.json")
    dead = {**papers[0], "name": "dead", "title": "Dead", "url": papers[0]["url"] + "-gone"}
    (lists / "two.json").write_text(json.dumps([dead, *papers]))
    assert _fetch(lists, "two").code in {1, 4, 5}
    assert {"one", "two"} <= set(_titles(lists))


# --- F7: which model it is ------------------------------------------------------------------------


@pytest.fixture
def model(finished: Path, tmp_path: Path) -> Path:
    """The tiny model as a folder of the user's own."""
    [folder] = Path(os.environ["PAPERLORA_MODELS"]).glob("tiny-gemma-3n-*")
    return Path(shutil.copytree(folder, tmp_path / "mine/model"))


def _change(model: Path) -> None:
    """Replace the weights by others of the same shape."""
    from safetensors.torch import load_file, save_file

    file = model / "model.safetensors"
    changed = {name: value * 1.5 for name, value in load_file(file).items()}
    file.unlink()
    save_file(changed, file, metadata={"format": "pt"})
    (model / "files.json").unlink(missing_ok=True)


@pytest.fixture
def own_model(run: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run `a`, trained on the user's folder, which was named relative to the folder above it."""
    monkeypatch.chdir(model.parent)
    good(chain("train", "eval", "--run", "a", "--set", "model.id=./model"))
    return run


def test_a_relative_model_is_stored_with_its_whole_path(own_model, model, monkeypatch, tmp_path):
    # F7: asked from another folder, there was "no model".
    assert settings(own_model)["model"]["id"] == str(model)
    monkeypatch.chdir(tmp_path)
    result = good(chain("train", "eval", "--run", "a"))
    assert result.nothing_changed("train")
    assert result.nothing_changed("eval")
    good(chain("eval", "--run", "a", "--force"))


@pytest.mark.parametrize("command", [("eval",), ("eval", "--force"), ("infer", "Why?")])
def test_another_model_in_a_folder_of_that_name_is_refused(own_model, model, command):
    # F7: a base was known by its folder's name alone.
    adapter, scores = tree(own_model / "adapter"), (own_model / "eval.json").read_bytes()
    _change(model)
    result = chain(command[0], "--run", "a", *command[1:])
    assert result.code in {2, 5}
    assert "model" in result.error
    assert tree(own_model / "adapter") == adapter
    assert (own_model / "eval.json").read_bytes() == scores


def test_another_model_of_the_same_name_elsewhere_is_refused(own_model, model, tmp_path):
    # F7: the same with the path set anew.
    other = Path(shutil.copytree(model, tmp_path / "elsewhere/model"))
    _change(other)
    adapter = tree(own_model / "adapter")
    result = chain("eval", "--run", "a", "--set", f"model.id={other}")
    assert result.code in {2, 5}
    assert tree(own_model / "adapter") == adapter


def test_the_same_model_in_another_folder_is_accepted(own_model, model, tmp_path):
    # F7: the digest counts, not the place.
    other = model.parent.with_name("moved")
    model.parent.rename(other)
    adapter = tree(own_model / "adapter", but=("README.md",))
    good(chain("eval", "--run", "a", "--set", f"model.id={other / 'model'}", "--force"))
    assert tree(own_model / "adapter", but=("README.md",)) == adapter
    assert settings(own_model)["model"]["id"] == str(other / "model")


def test_training_on_another_model_keeps_the_adapter_of_the_first(own_model, model):
    # F7, R2: `train` is how to get an adapter for the new model.
    first, record = weights(own_model), json_of(own_model / "train.json")
    copies = len(list(own_model.glob("adapter.*")))
    _change(model)
    result = good(chain("train", "--run", "a"))
    assert not result.nothing_changed("train")
    kept = own_model / f"adapter.{copies + 1}"
    assert weights(own_model, kept.name) == first
    assert json_of(kept / "train.json") == record
    digest = json_of(own_model / "train.json")["model"]["revision_or_sha256"]
    assert digest != record["model"]["revision_or_sha256"]


_opened: list[str] = []
_watching = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event == "open" and isinstance(arguments[0], str | bytes):
        _opened.append(os.fsdecode(arguments[0]))


def test_a_model_that_did_not_change_is_not_read_again(own_model, model):
    # F7: 16 GB were hashed twice, even when nothing changed.
    global _watching  # noqa: PLW0603 - a hook for audit events cannot be removed
    sys.addaudithook(_watch)
    _opened.clear()
    _watching = True
    try:
        good(chain("train", "eval", "--run", "a"))
    finally:
        _watching = False
    assert [name for name in _opened if name.endswith("config.toml")]  # the hook does see files
    assert not [name for name in _opened if name.endswith("model.safetensors")
                and Path(name).parent.name == "model"]  # fmt: skip


def test_a_touched_model_is_read_again_and_found_the_same(own_model, model):
    # F7: the time changed and the content did not; nothing has to be done.
    os.utime(model / "model.safetensors", (1, 1))
    result = good(chain("train", "eval", "--run", "a"))
    assert result.nothing_changed("train")
    assert result.nothing_changed("eval")


_HUB = """
import sys, urllib.request
from paperlora.__main__ import main
common = ["--run", "a", "--unverified", "--device", "cpu"]
code = main(["train", "--set", "model.id=gemma-3n-e4b-it", "--papers", sys.argv[2], *common])
urllib.request.urlopen(sys.argv[1] + "/move").read()
sys.exit(code or main(["eval", *common]))
"""


@pytest.mark.slow
def test_a_hub_model_is_scored_at_the_commit_that_it_was_trained_on(run, model, papers, tmp_path):
    # F7: `main` moved between training and scoring.
    import hub

    (model / "files.json").unlink(missing_ok=True)
    newer = Path(shutil.copytree(model, tmp_path / "newer"))
    _change(newer)
    commits = {"1" * 40: model, "2" * 40: newer}
    with hub.serve("google/gemma-3n-E4B-it", commits) as endpoint:
        environment = {
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hub"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "PAPERLORA_MODELS": str(tmp_path / "models"),
        }
        result = subprocess.run(
            [sys.executable, "-c", _HUB, endpoint, str(papers)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json_of(run / "train.json")["model"]["revision_or_sha256"] == "1" * 40
    assert json_of(run / "report.json")["model"]["revision_or_sha256"] == "1" * 40
    used = {path.name for path in (tmp_path).rglob("*") if path.name in {"1" * 40, "2" * 40}}
    assert "2" * 40 not in used


# --- words of the command line ---------------------------------------------------------------------


def test_piped_questions_are_all_answered(run):
    # `infer` ended at the first blank line and said that all was well.
    arguments = ("infer", "--run", "a", "--unverified", "--device", "cpu", "--max-new-tokens", "4")
    plain = good(paperlora(*arguments, stdin="What is a dose?\nWhat is a lens?\n"))
    blank = good(paperlora(*arguments, stdin="\nWhat is a dose?\n\n  \nWhat is a lens?\n\n"))
    one = good(paperlora(*arguments, stdin="What is a dose?\n"))
    assert blank.out == plain.out
    assert len(one.out) < len(plain.out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--run", "a", "--papers", os.fsdecode(b"/tmp/\xff")),
        ("train", "--run", "a", "--config", os.fsdecode(b"/tmp/\xff.toml")),
        ("parse", "--run", os.fsdecode(b"n\xff")),
        ("eval", "--run", os.fsdecode(b"/tmp/\xff")),
        ("train", "--run", "a", "--set", os.fsdecode(b"model.id=/tmp/\xff")),
    ],
)
def test_a_path_that_is_not_utf_8_is_bad_input(run, runs, arguments):
    # It ended with 70, "a fault of paperlora".
    before = tree(run, but=(".lock",))
    result = chain(*arguments)
    assert result.code == 2, result.err
    assert result.error
    assert tree(run, but=(".lock",)) == before
    assert [path.name for path in runs.iterdir()] == ["a"]
