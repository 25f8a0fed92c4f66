import pytest

from paperlora.files import read_json, write_json
from paperlora.pipeline.train import finish

FILES = ("adapter_model.safetensors", "adapter_config.json")


@pytest.fixture
def publish(tmp_path):
    """Return a function that publishes an adapter of these bytes, trained for so many steps."""

    def publish(weights, steps):
        work = tmp_path / "checkpoints"
        (work / "adapter").mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (work / "adapter" / name).write_bytes(weights)
        write_json(work / "train.json", {"steps": steps})
        (work / "metrics.jsonl").write_text(f'{{"step": {steps}}}\n')
        finish.publish(tmp_path, work)
        return tmp_path

    return publish


def steps(folder):
    return read_json(folder / "train.json")["steps"]


def test_the_first_adapter_has_its_record_and_the_work_is_gone(publish):
    run = publish(b"a", 1)
    assert {path.name for path in run.iterdir()} == {"adapter", "train.json", "metrics.jsonl"}
    assert steps(run) == steps(run / "adapter") == 1


def test_another_adapter_is_kept_with_its_own_record(publish, capsys):
    publish(b"a", 1)
    publish(b"b", 2)
    run = publish(b"c", 3)
    kept = {name: (run / name / FILES[0]).read_bytes() for name in ("adapter.1", "adapter.2")}
    assert kept == {"adapter.1": b"a", "adapter.2": b"b"}
    assert [steps(run / name) for name in ("adapter.1", "adapter.2", "adapter")] == [1, 2, 3]
    assert "adapter.2" in capsys.readouterr().err


def test_an_equal_adapter_is_not_kept_twice(publish):
    publish(b"a", 1)
    run = publish(b"a", 1)
    assert not (run / "adapter.1").exists()


def test_an_adapter_that_was_put_back_keeps_its_own_record(publish):
    publish(b"a", 1)
    run = publish(b"b", 2)
    (run / "adapter").rename(run / "elsewhere")
    (run / "adapter.1").rename(run / "adapter")
    publish(b"c", 3)
    assert (steps(run / "adapter.1"), steps(run / "adapter")) == (1, 3)


def test_a_publishing_that_was_killed_can_be_done_again(publish):
    run = publish(b"a", 1)
    left = run / "checkpoints" / "same"  # killed before the work was removed
    left.mkdir(parents=True)
    (left / FILES[0]).write_bytes(b"a")
    publish(b"a", 1)
    assert (run / "adapter" / FILES[0]).read_bytes() == b"a"
    assert not (run / "checkpoints").exists()
