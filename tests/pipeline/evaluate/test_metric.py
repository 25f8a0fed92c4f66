import math

import pytest

from paperlora.pipeline.evaluate import metric
from paperlora.pipeline.text import TfIdf

TFIDF = TfIdf.over(["the ice melts", "the sea rises", "the dose falls"])


def test_rouge_l_by_hand():
    # "police the gunman" keeps "police gunman" of "police kill the gunman": 2·3 / (4 + 3)
    assert metric.rouge_l(["police", "kill", "the", "gunman"], ["police", "the", "gunman"]) == (
        pytest.approx(6 / 7)
    )
    assert metric.rouge_l(["a", "b", "c"], ["c", "b", "a"]) == pytest.approx(1 / 3)
    assert metric.rouge_l([], ["a"]) == 0
    assert metric.rouge_l(["a"], []) == 0


def test_a_right_answer_scores_one_a_wrong_one_nothing_and_an_empty_one_nothing():
    assert metric.mixed(metric.score("The ice melts.", "the ice melts", TFIDF)) == pytest.approx(1)
    assert metric.mixed(metric.score("lens", "the ice melts", TFIDF)) == 0
    assert metric.mixed(metric.score("", "the ice melts", TFIDF)) == 0


def test_word_order_counts_in_overlap_only():
    score = metric.score("melts ice", "ice melts", TFIDF)
    assert score["relevance"] == pytest.approx(1)
    assert score["overlap"] == pytest.approx(0.5)


def test_wilson_against_published_values():
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611
    assert metric.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert metric.wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert metric.wilson(0, 0) == (0, 1)


def test_the_summary_counts_what_reaches_the_threshold():
    scores = [{"relevance": r, "overlap": o} for r, o in [(1, 1), (0.5, 0.5), (0.5, 0.4), (0, 0)]]
    summary = metric.summary(scores, 0.5)
    assert (summary["n"], summary["accuracy"]) == (4, 0.5)
    assert summary["score_mean"] == pytest.approx((1 + 0.5 + 0.45) / 4)
    low, high = summary["accuracy_ci95"]
    assert 0 < low < 0.5 < high < 1


def test_nothing_scored_is_no_accuracy_and_no_nan():
    summary = metric.summary([], 0.5)
    assert (summary["n"], summary["accuracy"], summary["accuracy_ci95"]) == (0, 0.0, [0.0, 1.0])
    assert not any(isinstance(v, float) and math.isnan(v) for v in summary.values())
