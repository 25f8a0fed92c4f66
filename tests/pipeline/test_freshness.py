import shutil

import pytest

from paperlora.files import write_json
from paperlora.pipeline import freshness

INPUTS = {"code": "c", "settings": {"train": {"seed": 0}}, "data": {"a": "1"}}


@pytest.fixture
def run(tmp_path):
    write_json(tmp_path / "out" / "a.json", {"a": 1})
    write_json(tmp_path / "b.json", {"b": 1})
    freshness.write(tmp_path, "work", INPUTS, [tmp_path / "out", tmp_path / "b.json"])
    return tmp_path


def test_unchanged_work_is_complete_and_has_no_changes(run):
    assert freshness.changes(run, "work", INPUTS) == []
    assert freshness.lost(run, "work") == []


@pytest.mark.parametrize(
    ("other", "phrase"),
    [
        ({"settings": {"train": {"seed": 1}}}, "train.seed 0 → 1"),
        ({"settings": {"train": {}}}, "train.seed 0 → unset"),
        ({"code": "d"}, "the code of work"),
        ({"data": {"a": "2"}}, "the examples"),
        ({"model": "m"}, "the base model"),
    ],
)
def test_a_change_of_the_inputs_is_named(run, other, phrase):
    assert freshness.changes(run, "work", INPUTS | other) == [phrase]


def test_a_tuple_is_the_list_that_the_stamp_holds(run):
    freshness.write(run, "work", INPUTS | {"list": [{"authors": ("Ada", "Bob")}]}, [])
    assert freshness.changes(run, "work", INPUTS | {"list": [{"authors": ("Ada", "Bob")}]}) == []
    assert freshness.changes(run, "work", INPUTS | {"list": [{"authors": ("Ada",)}]}) != []


def test_a_note_names_no_private_folder(run):
    before = INPUTS | {"settings": {"corpus": {"papers": "/home/alice/A"}}}
    freshness.write(run, "work", before, [])
    now = INPUTS | {"settings": {"corpus": {"papers": "/home/alice/B"}}}
    assert freshness.changes(run, "work", now) == ["corpus.papers A → B"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{}",
        "[]",
        "no JSON",
        '{"inputs": "old digest"}',
        '{"inputs": {"settings": 3}, "outputs": []}',
    ],
)
def test_work_without_a_stamp_that_can_be_read_was_never_done(run, content):
    stamp = run / ".stamps" / "work.json"
    stamp.unlink() if content is None else stamp.write_text(content)
    assert freshness.changes(run, "work", INPUTS) is None
    assert freshness.lost(run, "work") is None


@pytest.mark.parametrize("file", ["out/a.json", "b.json"])
def test_a_changed_or_missing_output_is_not_complete(run, file):
    (run / file).write_text("{}")
    assert freshness.lost(run, "work") == [file]
    (run / file).unlink()
    assert freshness.lost(run, "work") == [file]


def test_a_change_of_code_reaches_the_commands_that_use_it_and_no_other(tmp_path, monkeypatch):
    package = shutil.copytree(freshness._PACKAGE, tmp_path / "paperlora")
    monkeypatch.setattr(freshness, "_PACKAGE", package)
    folders = [("parse",), ("dataset",), ("model", "train"), ("model", "evaluate"), ("report",)]

    def digests():
        freshness.code.cache_clear()
        return {names[-1]: freshness.code(*names) for names in folders}

    def touched(file):
        before = digests()
        with (package / file).open("a") as opened:
            opened.write("# changed\n")
        after = digests()
        return {name for name in after if after[name] != before[name]}

    assert touched("pipeline/parse/extract.py") == {"parse"}
    assert touched("pipeline/evaluate/metric.py") == {"evaluate"}
    assert touched("pipeline/model/gemma3n/kernels/streams.py") == {"train", "evaluate"}
    assert touched("pipeline/report/report.html") == {"report"}
    assert touched("pipeline/config.py") == set()  # its values are inputs of their own
    assert touched("process.py") == {names[-1] for names in folders}
    freshness.code.cache_clear()


def test_reopened_work_runs_again_and_still_tells_its_inputs(run):
    freshness.reopen(run, "work")
    assert freshness.lost(run, "work") is None
    assert freshness.changes(run, "work", INPUTS | {"code": "d"}) == ["the code of work"]


@pytest.mark.parametrize("content", [None, "[]", "no JSON"])
def test_work_without_a_readable_stamp_can_be_reopened(run, content):
    stamp = run / ".stamps" / "work.json"
    stamp.unlink() if content is None else stamp.write_text(content)
    freshness.reopen(run, "work")
    assert freshness.changes(run, "work", INPUTS) is None
    assert freshness.lost(run, "work") is None
