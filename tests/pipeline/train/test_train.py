import json
import os
import shutil
import signal

import pytest
from made_up import ENVIRONMENT, tiny_config

from paperlora.errors import DataError
from paperlora.files import read_json, read_jsonl
from paperlora.pipeline.model.gemma3n.runner import Runner
from paperlora.pipeline.train import train
from paperlora.pipeline.train.accumulate import PackedAccumulator

ADAPTER = "adapter/adapter_model.safetensors"


def losses(run):
    return [(row["step"], row["split"], row["loss"]) for row in read_jsonl(run / "metrics.jsonl")]


def interrupt_at(monkeypatch, owner, method, call):
    """Send a real SIGINT in the middle of the given call of a method."""
    real, calls = getattr(owner, method), []

    def watched(*arguments):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(owner, method, watched)


def test_training_learns_and_writes_what_the_report_needs(trained):
    summary = read_json(trained / "train.json")
    validation = summary["train"]["validation_loss"]
    assert validation[0][0] == 0
    assert min(value for _, value in validation) < validation[0][1]
    assert summary["train"]["steps"] == len(summary["train"]["loss"]) == 4
    assert summary["model"]["trainable"] == sum(
        row["parameters"] for row in summary["adapter"]["modules"]
    )
    rows = read_jsonl(trained / "metrics.jsonl")
    assert all(row["memory"]["host_bytes"] > 10**7 for row in rows)
    assert not (trained / "checkpoints").exists()


def test_the_adapter_names_the_model_and_no_folder(trained):
    settings = (trained / "adapter" / "adapter_config.json").read_text()
    assert json.loads(settings)["base_model_name_or_path"] == "tiny-gemma-3n"
    assert str(trained) not in settings
    assert sorted(path.name for path in (trained / "adapter").glob("*.bin")) == []


def test_a_gradient_norm_of_0_turns_clipping_off(prepared, tmp_path):
    made = {}
    for norm in (0, 1e9, 1e-9):  # 1e9 is above every norm, 1e-9 below every norm
        run = shutil.copytree(prepared, tmp_path / str(norm))
        config = tiny_config("train.max_steps=1", f"train.max_gradient_norm={norm}")
        train.train(run, config, inputs="x", environment=ENVIRONMENT, device="cpu")
        made[norm] = (run / ADAPTER).read_bytes(), losses(run)
    assert made[0] == made[1e9]
    assert made[0] != made[1e-9]


def test_an_interrupted_training_resumes_to_the_same_bytes(trained, fresh_run, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(patch, Runner, "train", 3)  # in the second step
        with pytest.raises(KeyboardInterrupt):
            train.train(fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cpu")
    assert (fresh_run / "checkpoints" / "last.safetensors").is_file()
    assert not (fresh_run / "adapter").exists()
    train.train(fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cpu")
    assert (fresh_run / ADAPTER).read_bytes() == (trained / ADAPTER).read_bytes()
    assert losses(fresh_run) == losses(trained)


def test_an_interruption_in_the_last_validation_is_noticed(trained, fresh_run, monkeypatch):
    rows = [row for row in read_jsonl(trained / "metrics.jsonl") if row["split"] == "validation"]
    with monkeypatch.context() as patch:
        interrupt_at(patch, PackedAccumulator, "loss", len(rows))
        with pytest.raises(KeyboardInterrupt):
            train.train(fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cpu")
    assert not (fresh_run / "adapter").exists()
    train.train(fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cpu")
    assert (fresh_run / ADAPTER).read_bytes() == (trained / ADAPTER).read_bytes()


def test_a_checkpoint_of_other_inputs_is_not_resumed(trained, fresh_run, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt_at(patch, Runner, "train", 3)
        with pytest.raises(KeyboardInterrupt):
            train.train(
                fresh_run, tiny_config(), inputs="other", environment=ENVIRONMENT, device="cpu"
            )
    train.train(fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cpu")
    log = capsys.readouterr().err
    assert "resuming" not in log
    assert "the checkpoint is from other settings" in log
    assert losses(fresh_run) == losses(trained)


def test_another_seed_gives_another_adapter(trained, fresh_run):
    train.train(
        fresh_run, tiny_config("train.seed=1"), inputs="x", environment=ENVIRONMENT, device="cpu"
    )
    assert (fresh_run / ADAPTER).read_bytes() != (trained / ADAPTER).read_bytes()


def test_a_rate_that_ruins_the_model_stops_early_and_keeps_the_best(fresh_run):
    config = tiny_config(
        "train.learning_rate=1", "train.warmup_steps=1", "train.validate_every=1",
        "train.patience=2", "train.max_steps=20", "train.max_gradient_norm=1e9",
    )  # fmt: skip
    train.train(fresh_run, config, inputs="x", environment=ENVIRONMENT, device="cpu")
    summary = read_json(fresh_run / "train.json")["train"]
    assert summary["stopped_early"]
    assert summary["steps"] < 20
    series = dict(summary["validation_loss"])
    assert summary["best_step"] == min(series, key=lambda step: (series[step], step))
    assert summary["steps"] - summary["best_step"] == 2


def test_a_model_whose_loss_is_no_number_is_refused(fresh_run, monkeypatch):
    monkeypatch.setattr(PackedAccumulator, "loss", lambda *_: float("nan"))
    with pytest.raises(DataError, match="not a finite number"):
        train.train(fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cpu")
    assert not (fresh_run / "adapter").exists()


def test_a_damaged_checkpoint_is_named(fresh_run):
    path = fresh_run / "checkpoints" / "last.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"no checkpoint")
    with pytest.raises(DataError, match="damaged"):
        train.train(fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cpu")
    shutil.rmtree(path.parent)


def test_the_earlier_handlers_are_restored():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with train.deferred_signals():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_is_noted_and_a_second_one_interrupts(number):
    with train.deferred_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
