"""The settings of a run: whose they are, and what changes them."""

import pytest

from paperlora.errors import InputError
from paperlora.files import ROOT
from paperlora.pipeline import run


def stored(folder, **given):
    """Store what a command line would, and return the settings."""
    with run.locked(folder):
        settings = run.settings(folder, **given)
        run.store_settings(folder, settings)
    return settings


def test_runs_are_named_or_given_as_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("PAPERLORA_RUNS", raising=False)
    assert run.folder("demo") == ROOT / "runs" / "demo"
    monkeypatch.chdir(tmp_path)
    assert run.folder("runs/demo") == tmp_path / "runs" / "demo"
    monkeypatch.setenv("PAPERLORA_RUNS", str(tmp_path))
    assert run.folder("demo") == tmp_path / "demo"


def test_a_run_keeps_its_settings_and_set_changes_them(tmp_path):
    folder = tmp_path / "run"
    first = stored(folder, config="tiny", overrides=["train.max_steps=200"])
    assert (first.new, first.changes) == (True, ())
    assert stored(folder).config.train.max_steps == 200
    later = stored(folder, overrides=["train.max_steps=300", "eval.seed=0"])
    assert later.changes == ("train.max_steps 200 → 300",)
    assert stored(folder, config="tiny").config.train.max_steps == 300
    assert stored(folder).changes == ()


def test_of_a_configuration_named_again_only_what_changed_in_it_counts(tmp_path):
    folder, file = tmp_path / "run", tmp_path / "mine.toml"
    file.write_text('model.id = "tiny-gemma-3n"\ntrain.seed = 1\ntrain.patience = 2\n')
    stored(folder, config=str(file), overrides=["train.seed=7"])
    assert stored(folder, config=str(file)).config.train.seed == 7
    file.write_text(file.read_text().replace("patience = 2", "patience = 5"))
    again = stored(folder, config=str(file))
    assert again.changes == ("train.patience 2 → 5",)
    assert (again.config.train.seed, again.config.train.patience) == (7, 5)
    # the file as it is now is what the next change is measured from
    assert stored(folder, config=str(file), overrides=["train.patience=6"]).changes == (
        "train.patience 5 → 6",
    )
    assert stored(folder, config=str(file)).config.train.patience == 6


def test_another_configuration_than_the_first_is_refused(tmp_path):
    stored(tmp_path / "run", config="tiny")
    with pytest.raises(InputError, match="began with --config tiny, not with demo"):
        run.settings(tmp_path / "run", config="demo")
    assert run.settings(tmp_path / "run", config="tiny").changes == ()


def test_a_run_that_does_not_tell_its_configuration_takes_none(tmp_path):
    stored(tmp_path / "run", config="tiny")
    for content in ("{}", "[]", "no JSON", '{"config": "tiny", "values": 3}'):
        (tmp_path / "run" / ".stamps" / "begun.json").write_text(content)
        with pytest.raises(InputError, match="does not tell what it began with"):
            run.settings(tmp_path / "run", config="tiny")
    assert not run.settings(tmp_path / "run", overrides=["eval.seed=0"]).changes


def test_settings_are_read_while_the_run_is_held(tmp_path):
    stored(tmp_path / "run", config="tiny")
    with (
        run.locked(tmp_path / "run"),
        pytest.raises(InputError, match="in use"),
        run.locked(tmp_path / "run"),
    ):
        pass
    with pytest.raises(ZeroDivisionError), run.locked(tmp_path / "new"):
        raise ZeroDivisionError
    assert not (tmp_path / "new").exists()


def test_a_stored_configuration_that_is_damaged_is_named(tmp_path):
    stored(tmp_path / "run", config="tiny")
    file = tmp_path / "run" / "config.toml"
    file.write_text(file.read_text().replace("max_steps", "max_stepz"))
    with pytest.raises(InputError, match=r"config\.toml cannot be used: unknown key 'max_stepz'"):
        run.settings(tmp_path / "run")


def test_a_name_that_cannot_be_shown_is_refused():
    with pytest.raises(InputError, match="not a name"):
        run.folder("n\udcff")


def test_a_mistyped_model_keeps_its_name(tmp_path):
    config = run.settings(tmp_path / "run", config="tiny", overrides=["model.id=tiny-4n"]).config
    assert config.model.id == "tiny-4n"


def test_folders_are_stored_absolute(tmp_path, monkeypatch):
    for name in ("one/models/plain", "one/pdfs", "two"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "one")
    stored(tmp_path / "run", config="tiny",
           overrides=["model.id=models/plain", "corpus.papers=./pdfs"])  # fmt: skip
    monkeypatch.chdir(tmp_path / "two")
    kept = stored(tmp_path / "run").config
    assert kept.model.id == str(tmp_path / "one/models/plain")
    assert kept.corpus.papers == str(tmp_path / "one/pdfs")
    # in a file, a folder is relative to the file
    (tmp_path / "one/mine.toml").write_text('model.id = "models/plain"\ncorpus.papers = "pdfs"\n')
    named = run.settings(tmp_path / "other", config="../one/mine.toml").config
    assert (named.model.id, named.corpus.papers) == (kept.model.id, kept.corpus.papers)


def test_a_name_of_a_model_and_the_shipped_papers_are_no_folders(tmp_path):
    config = run.settings(tmp_path / "run", config="tiny").config
    assert (config.model.id, config.corpus.papers) == ("tiny-gemma-3n", "shipped")


def test_papers_are_a_setting(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    stored(tmp_path / "run", config="tiny")
    settings = stored(tmp_path / "run", papers=Path('a "b'))
    assert settings.changes == (f'corpus.papers shipped → {tmp_path}/a "b',)
    assert stored(tmp_path / "run").config.corpus.papers == f'{tmp_path}/a "b'


def test_settings_that_are_not_valid_change_nothing(tmp_path):
    stored(tmp_path / "run", config="tiny")
    before = (tmp_path / "run" / "config.toml").read_bytes()
    for override in ("train.stepps=3", "train.max_steps=0", "train.max_steps=many"):
        with pytest.raises(InputError):
            run.settings(tmp_path / "run", overrides=[override])
    assert (tmp_path / "run" / "config.toml").read_bytes() == before
    with pytest.raises(InputError):
        run.settings(tmp_path / "new", overrides=["train.stepps=3"])
    assert not (tmp_path / "new").exists()


def test_a_run_that_was_copied_without_its_hidden_files_is_still_one(tmp_path):
    stored(tmp_path / "run", config="tiny")
    (tmp_path / "run" / ".lock").unlink()
    assert stored(tmp_path / "run", overrides=["eval.seed=3"]).config.eval.seed == 3


def test_a_run_that_is_not_there_is_answered_with_close_names(tmp_path):
    for name in ("demo", "demo-more", "other"):
        stored(tmp_path / name, config="tiny")
    run.require(tmp_path / "demo")
    with pytest.raises(InputError, match=r"no run .*demmo.*did you mean 'demo'"):
        run.require(tmp_path / "demmo")
    with pytest.raises(InputError, match="The runs here are demo, demo-more, other"):
        run.require(tmp_path / "quite-another")
    with pytest.raises(InputError, match="begin it with `env/nox -s train -- --run"):
        run.require(tmp_path / "nowhere" / "at-all")
