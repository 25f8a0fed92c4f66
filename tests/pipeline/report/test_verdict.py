from __future__ import annotations

from typing import Any

import pytest
import synthetic_run as synthetic

from paperlora.pipeline.report import verdict


def report(
    base: tuple[float | None, float | None],
    tuned: tuple[float | None, float | None],
    controls: dict[str, Any] | None = None,
    n: int = 200,
    **model: Any,
) -> dict[str, Any]:
    """Return a report whose test split has these (accuracy, perplexity)."""
    return {
        "model": model,
        "eval": {
            "base": {"test": synthetic.scores(n, *base)},
            "tuned": {"test": synthetic.scores(n, *tuned)},
            "controls": controls or {},
        },
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
def test_the_verdict_follows_the_numbers(
    base: tuple[float | None, float | None],
    tuned: tuple[float | None, float | None],
    tone: str,
    said: str,
) -> None:
    found = verdict.verdict(report(base, tuned))
    assert found.tone == tone
    assert said in found.summary


def test_a_control_as_good_as_the_model_takes_the_praise_back() -> None:
    numbers = ((0.1, 23.1), (0.5, 17.4))
    good = report(*numbers)
    low = good["eval"]["tuned"]["test"]["accuracy_ci95"][0]
    below = {"lead": {"accuracy": low - 0.01}}
    assert verdict.verdict(report(*numbers, below)).tone == "good"
    for accuracy in (0.5, low + 0.01):  # as good as the model, or within its interval
        beaten = verdict.verdict(report(*numbers, {"lead": {"accuracy": accuracy}, "x": {}}))
        assert beaten.tone == "mixed"
        assert "Beware: the control “lead”" in beaten.summary
        assert "no clear change in its answers" in beaten.headline


def test_a_test_of_no_questions_shows_nothing() -> None:
    empty = report((0.0, 10.0), (0.0, 9.0))
    empty["eval"]["tuned"]["test"]["n"] = 0
    assert "accuracy could not be compared" in verdict.verdict(empty).summary


def test_headline_joins_agreement_and_contrast() -> None:
    agree = verdict.verdict(report((0.1, 20.0), (0.5, 10.0))).headline
    assert agree.endswith("unseen papers better and answers questions better.")
    differ = verdict.verdict(report((0.1, 20.0), (0.1, 10.0))).headline
    assert ", but shows no clear change" in differ


@pytest.mark.parametrize("vocabulary", [261, 49_152, 262_144])
def test_a_model_near_a_blind_guess_gets_no_praise(vocabulary: int) -> None:
    limit = vocabulary**verdict.NEAR_GUESS
    for perplexity, tone in ((0.99 * vocabulary, "mixed"), (limit, "mixed"), (0.9 * limit, "good")):
        numbers = ((None, float(vocabulary)), (None, perplexity))
        assert verdict.verdict(report(*numbers)).tone == "good", "without a vocabulary"
        found = verdict.verdict(report(*numbers, vocabulary=vocabulary))
        assert found.tone == tone
        assert ("hardly better than a blind guess" in found.headline) is (tone == "mixed")
        assert ("A blind guess among" in found.summary) is (tone == "mixed")


def test_worse_near_a_blind_guess_stays_worse() -> None:
    found = verdict.verdict(report((None, 100.0), (None, 250.0), vocabulary=261))
    assert found.tone == "bad"


def test_random_weights_get_no_verdict() -> None:
    numbers = ((0.1, 23.1), (0.5, 17.4))
    found = verdict.verdict(report(*numbers, kind="random"))
    assert found.tone == "unknown"
    assert "random weights" in found.headline
    assert verdict.verdict(report(*numbers, kind="wheel")).tone == "good"
