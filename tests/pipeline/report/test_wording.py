from __future__ import annotations

from typing import Any

import pytest
import synthetic_run as synthetic

from paperlora.pipeline.report import wording


def report(
    base: tuple[float | None, float | None],
    tuned: tuple[float | None, float | None],
    controls: dict[str, Any] | None = None,
    n: int = 200,
) -> dict[str, Any]:
    """Return a report whose test split has these (accuracy, perplexity)."""
    return {
        "eval": {
            "base": {"test": synthetic.scores(n, *base)},
            "tuned": {"test": synthetic.scores(n, *tuned)},
            "controls": controls or {},
        }
    }


@pytest.mark.parametrize(
    ("base", "tuned", "tone", "said"),
    [
        ((0.1, 23.1), (0.5, 17.4), "good", "fell from 23.1 to 17.4"),
        ((0.1, 23.1), (0.12, 17.4), "mixed", "intervals overlap"),
        ((0.5, 23.1), (0.1, 17.4), "mixed", "it did get worse"),
        ((0.5, 17.4), (0.1, 23.1), "bad", "rose from 17.4 to 23.1"),
        ((0.1, 20.0), (0.1, 20.1), "mixed", "hardly changed"),
        ((None, None), (None, None), "unknown", "could not be compared"),
        ((0.1, None), (0.5, 17.4), "good", "perplexity could not be compared"),
    ],
)
def test_verdict_says_what_the_numbers_say(
    base: tuple[float | None, float | None],
    tuned: tuple[float | None, float | None],
    tone: str,
    said: str,
) -> None:
    verdict = wording.verdict(report(base, tuned))
    assert verdict.tone == tone
    assert said in verdict.summary


def test_a_control_as_good_as_the_model_takes_the_praise_back() -> None:
    numbers = ((0.1, 23.1), (0.5, 17.4))
    good = report(*numbers)
    low = good["eval"]["tuned"]["test"]["accuracy_ci95"][0]
    below = {"lead": {"accuracy": low - 0.01}}
    assert wording.verdict(report(*numbers, below)).tone == "good"
    for accuracy in (0.5, low + 0.01):  # as good as the model, or within its interval
        beaten = wording.verdict(report(*numbers, {"lead": {"accuracy": accuracy}, "x": {}}))
        assert beaten.tone == "mixed"
        assert "Beware: the control “lead”" in beaten.summary
        assert "no clear change in its answers" in beaten.headline


def test_a_test_of_no_questions_shows_nothing() -> None:
    empty = report((0.0, 10.0), (0.0, 9.0))
    empty["eval"]["tuned"]["test"]["n"] = 0
    assert "accuracy could not be compared" in wording.verdict(empty).summary


def test_headline_joins_agreement_and_contrast() -> None:
    agree = wording.verdict(report((0.1, 20.0), (0.5, 10.0))).headline
    assert agree.endswith("unseen papers better and answers questions better.")
    differ = wording.verdict(report((0.1, 20.0), (0.1, 10.0))).headline
    assert ", but shows no clear change" in differ


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
