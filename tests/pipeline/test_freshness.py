import shutil

import pytest

from paperlora.files import write_json
from paperlora.pipeline import freshness


@pytest.fixture
def run(tmp_path):
    write_json(tmp_path / "out" / "a.json", {"a": 1})
    write_json(tmp_path / "b.json", {"b": 1})
    freshness.write(tmp_path, "work", {"seed": 0}, [tmp_path / "out", tmp_path / "b.json"])
    return tmp_path


def test_unchanged_work_is_fresh(run):
    assert freshness.fresh(run, "work", {"seed": 0})


def test_other_inputs_are_not(run):
    assert not freshness.fresh(run, "work", {"seed": 1})
    assert not freshness.fresh(run, "other", {"seed": 0})


@pytest.mark.parametrize("file", ["out/a.json", "b.json"])
def test_a_changed_or_missing_output_is_not(run, file):
    (run / file).write_text("{}")
    assert not freshness.fresh(run, "work", {"seed": 0})
    (run / file).unlink()
    assert not freshness.fresh(run, "work", {"seed": 0})


def test_cleared_work_is_not(run):
    freshness.clear(run, "work")
    assert not freshness.fresh(run, "work", {"seed": 0})


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
