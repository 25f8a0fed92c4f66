import fcntl
import shutil

import pytest
from made_up import ENVIRONMENT, document

from paperlora.errors import DataError, InputError
from paperlora.files import read_json, sha256_file, write_json, write_jsonl
from paperlora.pipeline import chain, inputs, run
from paperlora.pipeline.model import store
from paperlora.pipeline.parse import parse

ADAPTER = inputs.ADAPTER[0]
QUICK = (
    *("train.max_steps=4", "eval.questions=2", "eval.passages=1"),
    *("model.max_length=256", "eval.max_new_tokens=4"),
)


@pytest.fixture
def papers(tmp_path, monkeypatch):
    """A folder whose parsing is replaced; the calls are counted."""
    folder = tmp_path / "pdfs"
    folder.mkdir()
    for number in range(6):
        (folder / f"paper-{number}.pdf").write_bytes(b"%PDF-1.4 not a real one")
    calls = []

    def read_nothing(papers, run, **_):
        calls.append(papers)
        rows = [document(path.stem) for path in parse.list_papers(papers)]
        write_jsonl(run / "documents.jsonl", rows)
        write_json(run / "parse.json", {"rejected": []})

    monkeypatch.setattr(parse, "command", read_nothing)
    return folder, calls


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was trained and scored once, and its folder of papers; for copying."""
    place = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        folder, _ = papers.__wrapped__(place, patch)
        execute(place / "run", ["train", "eval"], papers=folder, overrides=QUICK)
    return place / "run", folder


@pytest.fixture
def done(finished, papers, tmp_path):
    """A copy of the finished run; its papers are those of the original."""
    return shutil.copytree(finished[0], tmp_path / "run")


def execute(folder, names, *, papers=None, overrides=(), config=None, forced=(), **changes):
    """Do what the command line does for one command line."""
    with run.locked(folder):
        settings = run.settings(folder, config=config or (None if run.exists(folder) else "tiny"),
                                papers=papers, overrides=overrides)  # fmt: skip
        job = chain.Job(run=folder, settings=settings, forced=frozenset(forced),
                        **{"environment": ENVIRONMENT, "device": "cpu", **changes})  # fmt: skip
        chain.check(job, names)
        run.store_settings(folder, settings)
        chain.execute(job, names)


def skipped(capsys):
    lines = capsys.readouterr().err.splitlines()
    return [line.split(":")[0] for line in lines if "nothing changed" in line]


def digest(folder):
    return sha256_file(folder / ADAPTER)


def test_the_whole_chain_runs_once_and_then_has_nothing_to_do(done, capsys):
    assert (done / "report.html").is_file()
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*.*") if path.is_file()}
    execute(done, ["train", "eval"])
    assert skipped(capsys) == list(chain.CHAIN)
    after = {path: path.stat().st_mtime_ns for path in done.rglob("*.*") if path.is_file()}
    assert [path.name for path in after if after[path] != before.get(path)] == ["notes.json"]

    # another threshold: only the scores and the report are made again
    execute(done, ["train", "eval"], overrides=["eval.threshold=0.4"])
    assert skipped(capsys) == ["parse", "dataset", "train"]

    # a lost output is made again, and so is what was forced
    (done / "report.html").unlink()
    execute(done, ["report"])
    assert (done / "report.html").is_file()
    capsys.readouterr()
    execute(done, ["parse"], forced=["parse"])
    execute(done, ["train", "eval"])
    assert skipped(capsys) == list(chain.CHAIN)


def test_a_command_stops_where_it_was_asked_to(papers, tmp_path):
    execute(tmp_path / "run", ["dataset"], papers=papers[0])
    assert (tmp_path / "run" / "dataset" / "train.jsonl").is_file()
    assert not (tmp_path / "run" / "train.json").exists()


def test_a_changed_paper_or_seed_is_noticed(papers, tmp_path, capsys):
    folder, calls = papers
    execute(tmp_path / "run", ["dataset"], papers=folder)
    (folder / "paper-3.pdf").write_bytes(b"%PDF-1.4 other")
    execute(tmp_path / "run", ["parse"])
    assert len(calls) == 2
    capsys.readouterr()
    execute(tmp_path / "run", ["dataset"], overrides=["dataset.seed=1"])
    assert skipped(capsys) == ["parse"]


def test_a_command_that_fails_is_not_taken_for_done(papers, tmp_path, monkeypatch):
    from paperlora.pipeline.dataset import dataset

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "build", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(OSError, match="No space"):
            execute(tmp_path / "run", ["dataset"], papers=papers[0])
    execute(tmp_path / "run", ["dataset"])
    assert (tmp_path / "run" / "dataset" / "dataset.json").is_file()
    assert len(papers[1]) == 1


# --- which sections a command reads


def test_every_section_of_the_configuration_is_read_by_a_command_and_none_is_unknown():
    from paperlora.pipeline import config_file

    read = {name for sections in chain.SECTIONS.values() for name in sections}
    assert read == set(config_file.as_dict(config_file.load("tiny")))


@pytest.mark.parametrize(
    ("override", "again"),
    [
        ("corpus.timeout_seconds=59", "parse"),
        ("dataset.seed=1", "dataset"),
        ("model.max_length=255", "train"),
        ("adapter.alpha=8", "train"),
        ("train.patience=9", "train"),
        ("memory.step=stock", "train"),
        ("memory.optimizer=adamw", "train"),
        ("eval.threshold=0.4", "eval"),
    ],
)
def test_a_change_in_a_section_reaches_the_key_of_the_command_that_reads_it(done, override, again):
    def keys(*overrides):
        settings = run.settings(done, overrides=overrides)
        job = chain.Job(run=done, settings=settings, environment=ENVIRONMENT, device="cpu")
        return {name: chain.inputs_of(job, name) for name in chain.CHAIN}

    before, after = keys(), keys(override)
    changed = [name for name in chain.CHAIN if before[name] != after[name]]
    section = override.partition(".")[0]
    assert changed == [name for name in chain.CHAIN if section in chain.SECTIONS[name]]
    assert changed[0] == again == chain.first_again(override)


def test_a_command_gets_its_sections_and_no_other(done):
    job = chain.Job(run=done, settings=run.settings(done), environment=ENVIRONMENT, device="cpu")
    for command, sections in chain.SECTIONS.items():
        assert tuple(job.sections(command)) == sections


def test_environment_and_device_are_no_part_of_a_key(done):
    settings = run.settings(done)
    keys = []
    for fingerprint, device in (("f", "cpu"), ("g", "cuda")):
        record = ENVIRONMENT | {"fingerprint": fingerprint, "python": fingerprint}
        job = chain.Job(run=done, settings=settings, environment=record, device=device)
        keys.append([chain.inputs_of(job, name) for name in chain.CHAIN])
    assert keys[0] == keys[1]


# --- only train trains


@pytest.mark.parametrize(
    "override", ["train.max_steps=3", "memory.step=stock", "dataset.seed=1", "adapter.rank=4"]
)
def test_eval_and_report_use_the_adapter_that_is_there_and_name_the_change(done, capsys, override):
    before, data = digest(done), sha256_file(done / "dataset" / "train.jsonl")
    capsys.readouterr()
    execute(done, ["eval"], overrides=[override])
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert override.partition("=")[0] in notes[0]
    assert override.partition("=")[2] in notes[0]
    assert (digest(done), sha256_file(done / "dataset" / "train.jsonl")) == (before, data)
    assert notes[0].removeprefix("note: ") in read_json(done / "notes.json")
    execute(done, ["report"])
    assert digest(done) == before


def test_a_change_of_code_or_data_is_named_too(done, monkeypatch):
    from paperlora.pipeline import freshness

    job = chain.Job(run=done, settings=run.settings(done), environment=ENVIRONMENT, device="cpu")
    assert chain.adapter_note(job) == ""
    with monkeypatch.context() as patch:
        patch.setattr(freshness, "code", lambda *folders: "other" if "train" in folders else "f")
        assert "the code of train" in chain.adapter_note(job)
    with (done / "dataset" / "train.jsonl").open("a") as file:
        file.write("{}\n")
    assert "the examples" in chain.adapter_note(job)
    (done / "documents.jsonl").unlink()
    assert "the text of the papers" in chain.adapter_note(job)


def test_an_evaluation_without_an_adapter_is_refused(papers, tmp_path):
    execute(tmp_path / "run", ["dataset"], papers=papers[0])
    for command in ("eval", "report"):
        with pytest.raises(DataError, match=r"has no adapter.*run `train`"):
            execute(tmp_path / "run", [command])
    assert not (tmp_path / "run" / "train.json").exists()


@pytest.mark.parametrize("name", [*inputs.ADAPTER, "train.json"])
def test_half_an_adapter_is_refused(done, name):
    chain.require_adapter(done)
    (done / name).unlink()
    with pytest.raises(DataError, match=r"has (no adapter|an adapter without).*run `train`"):
        chain.require_adapter(done)


def test_what_is_gone_is_not_said_to_have_changed(finished, done, monkeypatch):
    folder = finished[1]
    folder.rename(folder.with_name("away"))
    try:
        job = chain.Job(
            run=done, settings=run.settings(done), environment=ENVIRONMENT, device="cpu"
        )
        assert chain.adapter_note(job) == ""
    finally:
        folder.with_name("away").rename(folder)
    (folder / "paper-0.pdf").write_bytes(b"%PDF-1.4 other")  # the control
    assert "the papers" in chain.adapter_note(job)
    (folder / "paper-0.pdf").write_bytes(b"%PDF-1.4 not a real one")


def test_an_adapter_without_a_record_is_refused_before_it_is_scored(done):
    record = read_json(done / "train.json")
    del record["environment"]
    write_json(done / "train.json", record)
    with pytest.raises(DataError, match=r"no record of its environment.*keeps this one"):
        execute(done, ["eval"], overrides=["eval.seed=1"])


def test_a_renamed_run_is_named_so_in_its_report(done):
    moved = done.rename(done.with_name("moved"))
    execute(moved, ["report"])
    assert read_json(moved / "report.json")["run"] == "moved"


def test_predictions_of_another_evaluation_are_named(done, capsys):
    path = done / "predictions.jsonl"
    path.write_text(path.read_text() + "\n")
    execute(done, ["report"])
    assert "the scores are not as `eval` wrote them" in capsys.readouterr().err


def test_scores_follow_the_scale_of_the_adapter(done, capsys):
    config = read_json(done / "adapter" / "adapter_config.json")
    write_json(done / "adapter" / "adapter_config.json", config | {"lora_alpha": 1})
    capsys.readouterr()
    execute(done, ["eval"])
    assert "eval" not in skipped(capsys)


def test_training_again_keeps_the_adapter_that_was_there(done, capsys):
    first, record = digest(done), (done / "train.json").read_bytes()
    execute(done, ["train"], overrides=["train.seed=1"])
    assert f"kept in {done / 'adapter.1'}" in capsys.readouterr().err
    second = digest(done)
    assert second != first
    assert sha256_file(done / "adapter.1" / "adapter_model.safetensors") == first
    assert (done / "adapter.1" / "train.json").read_bytes() == record
    # one that its user puts back keeps its own record
    (done / "adapter").rename(done / "mine")
    (done / "adapter.1").rename(done / "adapter")
    execute(done, ["train"], overrides=["train.seed=3"])
    assert (done / "adapter.1" / "train.json").read_bytes() == record
    shutil.rmtree(done / "adapter")
    (done / "mine").rename(done / "adapter")
    (done / "adapter.1").rename(done / "adapter.9")
    (done / "adapter.9").rename(done / "adapter.1")
    second = digest(done)
    execute(done, ["train"], overrides=["train.seed=2"])
    assert sha256_file(done / "adapter.2" / "adapter_model.safetensors") == second
    assert sha256_file(done / "adapter.1" / "adapter_model.safetensors") == first
    # the same bytes again: nothing to keep
    execute(done, ["train"], forced=["train"])
    assert not (done / "adapter.3").exists()
    # scores of the earlier adapter are not taken for those of this one
    capsys.readouterr()
    execute(done, ["report"])
    assert "the scores were computed before a change: the adapter" in capsys.readouterr().err


def test_a_forced_training_that_was_interrupted_is_resumed_without_force(done, monkeypatch):
    from paperlora.pipeline.train import train

    resumed, before = [], digest(done)

    def interrupted(*_, resume, **__):
        resumed.append(resume)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    execute(done, ["train"])  # complete: nothing to do
    for forced in (["train"], []):
        with pytest.raises(KeyboardInterrupt):
            execute(done, ["train"], forced=forced)
    assert resumed == [False, True]
    assert digest(done) == before


def test_a_training_in_another_environment_is_left_alone_and_said(done, capsys):
    before = digest(done)
    capsys.readouterr()
    execute(done, ["train"], environment=ENVIRONMENT | {"fingerprint": "e" * 64})
    assert "trained in another environment" in capsys.readouterr().err
    assert digest(done) == before
    assert read_json(done / "train.json")["environment"]["fingerprint"] == "f" * 64


def test_each_result_carries_the_environment_that_made_it(done):
    other = ENVIRONMENT | {"fingerprint": "e" * 64}
    execute(done, ["eval"], overrides=["eval.seed=1"], environment=other)
    assert read_json(done / "train.json")["environment"]["fingerprint"] == "f" * 64
    assert read_json(done / "eval.json")["environment"]["fingerprint"] == "e" * 64


# --- what cannot be done is refused before anything is stored


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.id='/nonexistent'", "no model"),
        ("corpus.papers='/nonexistent'", "does not exist"),
        ("memory.optimizer=adamw8bit", "without a GPU"),
        ("memory.step=fused", "no GPU"),
    ],
)
def test_settings_that_cannot_be_had_leave_the_run_as_it_was(done, override, says):
    before = {path: path.read_bytes() for path in done.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=says):
        execute(done, ["train"], overrides=[override])
    assert {path: path.read_bytes() for path in done.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("override", ["model.id=nothing", "memory.step=fused"])
def test_they_are_refused_by_a_command_that_does_not_read_them_too(done, papers, override):
    with pytest.raises(InputError):
        execute(done, ["report"], overrides=[override])
    with pytest.raises(InputError):
        execute(done.parent / "new", ["parse"], papers=papers[0], overrides=[override])
    assert not (done.parent / "new").exists()


def test_a_new_run_that_cannot_be_had_leaves_no_folder(papers, tmp_path):
    with pytest.raises(InputError, match="without a GPU"):
        execute(tmp_path / "new", ["train"], papers=papers[0],
                overrides=["memory.optimizer=adamw8bit"])  # fmt: skip
    assert not (tmp_path / "new").exists()


def test_a_step_of_gemma_3n_is_refused_for_another_model(tmp_path, papers):
    with pytest.raises(InputError, match="which only Gemma 3n has"):
        execute(tmp_path / "new", ["train"], config="demo", papers=papers[0],
                overrides=["memory.step=plain"])  # fmt: skip


def test_one_run_directory_is_for_one_process(papers, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with (folder / ".lock").open("w") as file:  # as a run in progress has
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="in use by another process"):
            execute(folder, ["parse"], papers=papers[0])
    execute(folder, ["parse"], papers=papers[0])


def test_a_folder_that_is_no_run_is_left_alone(papers, tmp_path):
    (tmp_path / "thesis" / "adapter").mkdir(parents=True)
    with pytest.raises(InputError, match="not a run"):
        execute(tmp_path / "thesis", ["parse"], papers=papers[0])
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["adapter"]


def test_a_models_key_holds_what_decides_its_bytes_only():
    assert set(store.pin("smollm2-135m-instruct")) == {"id", "kind", "sha256"}
