import shutil

import pytest

from paperlora.files import write_json
from paperlora.pipeline import stamp


@pytest.fixture
def run(tmp_path):
    write_json(tmp_path / "out" / "a.json", {"a": 1})
    write_json(tmp_path / "b.json", {"b": 1})
    stamp.write(tmp_path, "work", {"seed": 0}, [tmp_path / "out", tmp_path / "b.json"])
    return tmp_path


def test_unchanged_work_is_fresh(run):
    assert stamp.fresh(run, "work", {"seed": 0})


def test_other_inputs_are_not(run):
    assert not stamp.fresh(run, "work", {"seed": 1})
    assert not stamp.fresh(run, "other", {"seed": 0})


@pytest.mark.parametrize("file", ["out/a.json", "b.json"])
def test_a_changed_or_missing_output_is_not(run, file):
    (run / file).write_text("{}")
    assert not stamp.fresh(run, "work", {"seed": 0})
    (run / file).unlink()
    assert not stamp.fresh(run, "work", {"seed": 0})


def test_cleared_work_is_not(run):
    stamp.clear(run, "work")
    assert not stamp.fresh(run, "work", {"seed": 0})


def test_a_change_of_code_reaches_the_commands_that_use_it_and_no_other(tmp_path, monkeypatch):
    folder = shutil.copytree(stamp._PACKAGE, tmp_path / "pipeline")
    monkeypatch.setattr(stamp, "_PACKAGE", folder)
    commands = ("parse", "dataset", "train", "evaluate", "report")

    def digests():
        stamp.code.cache_clear()
        return {name: stamp.code(name) for name in commands}

    def touched(module):
        before = digests()
        with (folder / f"{module}.py").open("a") as file:
            file.write("# changed\n")
        after = digests()
        return {name for name in commands if after[name] != before[name]}

    assert touched("extract") == {"parse"}  # started by name, in a child
    assert touched("metric") == {"evaluate"}
    assert touched("checkpoint") == {"train"}
    assert touched("model") == {"train", "evaluate"}
    assert touched("gemma3n/kernels/streams") == {"train", "evaluate"}
    assert touched("card") == {"report"}
    assert touched("config") == set()
    before = digests()
    (folder / "report.html").write_text("changed")
    assert {name for name in commands if digests()[name] != before[name]} == {"report"}
    stamp.code.cache_clear()
