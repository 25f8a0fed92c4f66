import fcntl

import pytest
from made_up import document, tiny_config

from paperlora.errors import InputError
from paperlora.files import write_json, write_jsonl
from paperlora.pipeline import chain
from paperlora.pipeline.model import store
from paperlora.pipeline.parse import parse

ENVIRONMENT = {
    "target": "cuda",
    "fingerprint": "f" * 64,
    "lock_digest": "0" * 64,
    "python": "3.12.1",
    "platform": "linux-x86_64",
    "packages": {"torch": "2.10.0"},
    "findings": [],
    "verified": True,
    "observed": {"gpu": None, "driver": None, "host": "h", "cpu": "c", "time": "t"},
}


@pytest.fixture
def papers(tmp_path, monkeypatch):
    """A folder whose parsing is stood in for; the calls are counted."""
    folder = tmp_path / "pdfs"
    folder.mkdir()
    for number in range(6):
        (folder / f"paper-{number}.pdf").write_bytes(b"%PDF-1.4 stands in")
    calls = []

    def stand_in(papers, run, **_):
        calls.append(papers)
        rows = [document(path.stem) for path in parse.list_papers(papers)]
        write_jsonl(run / "documents.jsonl", rows)
        write_json(run / "parse.json", {"rejected": []})

    monkeypatch.setattr(parse, "command", stand_in)
    return folder, calls


def job(folder, run, *overrides, **changes):
    values = {
        "run": run,
        "config": tiny_config(f"corpus.papers={str(folder)!r}", *overrides),
        "environment": ENVIRONMENT,
        "device": "cpu",
    }
    return chain.Job(**(values | changes))


def said(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if "nothing changed" in line]


def test_the_whole_chain_runs_once_and_then_has_nothing_to_do(papers, tmp_path, capsys):
    folder, calls = papers
    run = tmp_path / "run"
    chain.execute(job(folder, run), ["train", "eval"])
    assert (run / "report.html").is_file()
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    assert said(capsys) == []

    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.*") if path.is_file()}
    chain.execute(job(folder, run), ["eval"])
    assert len(said(capsys)) == len(chain.CHAIN)
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*.*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {
        run / "config.toml",
        run / ".lock",
    }

    # another metric: only the scores and the report are made again
    chain.execute(job(folder, run, "eval.threshold=0.4"), ["eval"])
    assert [line.split(":")[0] for line in said(capsys)] == ["parse", "dataset", "train"]

    # a lost output is made again, and so is what was forced
    (run / "report.html").unlink()
    chain.execute(job(folder, run, "eval.threshold=0.4"), ["report"])
    assert (run / "report.html").is_file()
    assert len(calls) == 1
    capsys.readouterr()
    chain.execute(job(folder, run, "eval.threshold=0.4", forced={"parse"}), ["eval"])
    assert len(calls) == 2
    assert [line.split(":")[0] for line in said(capsys)] == ["dataset", "train", "eval", "report"]


def test_a_command_stops_where_it_was_asked_to(papers, tmp_path):
    folder, _ = papers
    run = tmp_path / "run"
    chain.execute(job(folder, run), ["dataset"])
    assert (run / "dataset" / "train.jsonl").is_file()
    assert not (run / "train.json").exists()


def test_a_changed_paper_or_seed_is_noticed(papers, tmp_path, capsys):
    folder, calls = papers
    run = tmp_path / "run"
    chain.execute(job(folder, run), ["dataset"])
    (folder / "paper-3.pdf").write_bytes(b"%PDF-1.4 other")
    chain.execute(job(folder, run), ["parse"])
    assert len(calls) == 2
    capsys.readouterr()
    chain.execute(job(folder, run, "dataset.seed=1"), ["dataset"])
    assert [line.split(":")[0] for line in said(capsys)] == ["parse"]


def test_a_command_that_fails_is_not_taken_for_done(papers, tmp_path, monkeypatch):
    folder, calls = papers
    run = tmp_path / "run"
    from paperlora.pipeline.dataset import dataset

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "build", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(OSError, match="No space"):
            chain.execute(job(folder, run), ["dataset"])
    chain.execute(job(folder, run), ["dataset"])
    assert (run / "dataset" / "dataset.json").is_file()
    assert len(calls) == 1


def test_one_run_directory_is_for_one_process(papers, tmp_path):
    folder, _ = papers
    run = tmp_path / "run"
    run.mkdir()
    with (run / ".lock").open("w") as file:  # as a run in progress has
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="in use by another process"):
            chain.execute(job(folder, run), ["parse"])
    chain.execute(job(folder, run), ["parse"])


def test_a_folder_that_is_no_run_is_left_alone(papers, tmp_path):
    folder, _ = papers
    (tmp_path / "thesis" / "adapter").mkdir(parents=True)
    with pytest.raises(InputError, match="no run"):
        chain.execute(job(folder, tmp_path / "thesis"), ["parse"])
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["adapter"]


def test_the_device_is_part_of_what_a_result_depends_on(papers, tmp_path):
    folder, _ = papers
    gpu = {**ENVIRONMENT, "observed": {**ENVIRONMENT["observed"], "gpu": "H100"}}
    on = {
        device: job(folder, tmp_path, device=device, environment=environment).arithmetic["device"]
        for device, environment in [("cpu", gpu), ("auto", gpu)]
    }
    assert on == {"cpu": "cpu", "auto": "cuda"}
    assert job(folder, tmp_path, device="auto").arithmetic["device"] == "cpu"


def test_a_models_key_holds_what_decides_its_bytes_only():
    assert set(store.pin("smollm2-135m-instruct")) == {"id", "kind", "sha256"}


def test_a_model_that_is_none_leaves_the_run_as_it_was(papers, tmp_path):
    folder, calls = papers
    run = tmp_path / "run"
    chain.execute(job(folder, run), ["dataset"])
    stored = (run / "config.toml").read_text()
    with pytest.raises(InputError, match="no model"):
        chain.execute(job(folder, run, "model.id='/nonexistent'"), ["train"])
    assert (run / "config.toml").read_text() == stored
    assert len(calls) == 1
