from __future__ import annotations

import pytest
import synthetic_run as synthetic
import synthetic_training

from paperlora.pipeline.report import wording


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (wording.number(None), wording.ABSENT),
        (wording.number(1234567), "1,234,567"),
        (wording.number(23.14), "23.1"),
        (wording.number(-0.1264), "\u22120.126"),
        (wording.percent(0.3541), "35.4 %"),
        (wording.points(-0.05), "\u22125.0 points"),
        (wording.interval([0.219, 0.489]), "21.9 to 48.9 %"),
        (wording.interval([None, 0.4]), wording.ABSENT),
        (wording.interval(None), wording.ABSENT),
        (wording.memory(3 * 2**29), "1.50 GiB"),
        (wording.memory(2**29), "512 MiB"),
        (wording.duration(8.44), "8.4 s"),
        (wording.duration(59.97), "1 min 00 s"),
        (wording.duration(187.4), "3 min 07 s"),
        (wording.duration(7500), "2 h 05 min"),
        (wording.count(1, "file"), "1 file"),
        (wording.count(0, "file"), "0 files"),
    ],
)
def test_numbers_are_written_for_people(written: str, text: str) -> None:
    assert written.replace(wording.GAP, " ") == text


def test_trained_share_counts_trained_parameters_in_the_whole() -> None:
    assert wording.trained_share({"trainable": 25, "parameters": 75}) == pytest.approx(0.25)
    assert wording.trained_share({"trainable": 0, "parameters": 0}) == 0


def test_a_step_is_described_in_words() -> None:
    train = synthetic_training.training(1, gpu=True)["train"]
    rows = dict(wording.step(train))
    assert rows["Activations"] == "each layer keeps its input and computes the rest again"
    assert rows["Time to prepare the step"] == f"4.2{wording.GAP}s"
    train["how"] = {"step": "stock"}
    assert wording.step(train) == [("Step", "transformers and peft, one example after another")]
    train["how"] = {"step": "another"}
    assert wording.step(train) == [("Step", "another")]
    assert not wording.step({})


def test_findings_of_both_environments_are_told_once() -> None:
    good, bad = synthetic.environment(), synthetic.environment(verified=False)
    assert not wording.unverified({"train": good, "eval": good})
    finding = "numpy: 2.1.0 installed, 2.0.2 locked"
    both = wording.unverified({"eval": bad, "train": bad})  # as report.json sorts them
    assert both == [f"training and evaluation: {finding}"]
    assert wording.unverified({"train": good, "eval": bad}) == [f"evaluation: {finding}"]
    unchecked = good | {"verified": False}
    assert wording.unverified({"train": unchecked, "eval": good}) == [
        "training: the check did not run"
    ]


def test_differences_of_two_environments() -> None:
    one = synthetic.environment()
    other = synthetic.environment(verified=False) | {"fingerprint": "0a", "packages": {"x": "1"}}
    report = {"environments": {"train": one, "eval": one}, "model": {"device": "cpu"}, "eval": {}}
    later = one | {"observed": one["observed"] | {"time": "later"}}
    report["environments"]["eval"] = later
    rows = wording.environment_rows(report)
    assert ("observed.time", one["observed"]["time"], "later") in rows
    assert not wording.differing(rows)
    report["environments"]["eval"] = other
    report["eval"]["device"] = "cuda:0"
    differing = wording.differing(wording.environment_rows(report))
    assert {name: (left, right) for name, left, right in differing} == {
        "device": ("cpu", "cuda:0"),
        "verified": (True, False),
        "fingerprint": ("3f" * 32, "0a"),
        "packages.peft": ("0.18.1", None),
        "packages.torch": ("2.10.0", None),
        "packages.transformers": ("5.8.1", None),
        "packages.x": (None, "1"),
    }


def test_flatten_gives_dotted_keys() -> None:
    rows = dict(wording.flatten({"a": {"b": [1, "é"], "c": {}}, "d": None, "e": "x"}))
    assert rows == {"a.b": [1, "é"], "a.c": {}, "d": None, "e": "x"}
