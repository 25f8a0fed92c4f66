"""The verdict of a report: what the scores show on papers that training never saw, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from paperlora.pipeline.report.wording import GAP, count, interval, number, percent

Sign = Literal[-1, 0, 1]
"""Worse, no clear change, better."""

SMALL_CHANGE = 0.01
"""A relative change of perplexity below this is called no change."""

NEAR_GUESS = 0.6
"""A model with at least this share of a blind guess's loss is called hardly better than that guess.

A blind guess takes all tokens as equally likely: its perplexity is the size of the vocabulary.
Knowing only how often each token occurs gives 0.56 to 0.57 of its loss on the shipped papers, with
a vocabulary of 261 tokens and with one of 49,152. A language model has much less.
"""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What one measure shows on the test papers."""

    sign: Sign | None  # None: not measured
    phrase: str
    """The rest of a sentence that begins with "The tuned model"."""
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the numbers show on papers that training never saw."""

    tone: Literal["good", "mixed", "bad", "unknown"]
    headline: str
    summary: str


def _perplexity(base: float | None, tuned: float | None, vocabulary: int | None) -> Judgement:
    """Judge the test perplexity; lower is better, but not good while it is near a blind guess."""
    if base is None or tuned is None or base <= 0:
        return Judgement(sign=None, phrase="", sentence="Test perplexity could not be compared.")
    change = tuned / base - 1
    sign: Sign = 0 if abs(change) < SMALL_CHANGE else 1 if change < 0 else -1
    numbers = f"from {number(base)} to {number(tuned)} ({percent(abs(change))}"
    grade, sentence = {
        1: ("better", f"Test perplexity fell {numbers} lower, which is better)."),
        0: (
            "no better",
            f"Test perplexity hardly changed: {number(base)} before, {number(tuned)} after.",
        ),
        -1: ("worse", f"Test perplexity rose {numbers} higher, which is worse)."),
    }[sign]
    if vocabulary and tuned >= vocabulary**NEAR_GUESS:
        sign, grade = min(sign, 0), "hardly better than a blind guess"
        sentence += (
            f" A blind guess among the {number(vocabulary)} tokens of the vocabulary is hardly worse: "
            f"its perplexity is {number(vocabulary)}."
        )
    phrase = f"predicts the text of unseen papers {grade}"
    return Judgement(sign=sign, phrase=phrase, sentence=sentence)


def _accuracy(
    base: dict[str, Any], tuned: dict[str, Any], control: tuple[str, float] | None
) -> Judgement:
    """Judge the test accuracy.

    A difference is clear only when the 95 % intervals are apart. It is an improvement only when the
    whole interval is above every control.
    """
    if not (base["n"] and tuned["n"]) or base["accuracy"] is None or tuned["accuracy"] is None:
        return Judgement(sign=None, phrase="", sentence="Test accuracy could not be compared.")
    before, after = base["accuracy_ci95"], tuned["accuracy_ci95"]
    text = (
        f"Accuracy on {count(tuned['n'], 'test question')}: {percent(base['accuracy'])} → "
        f"{percent(tuned['accuracy'])} "
        f"(95{GAP}% intervals {interval(before)} and {interval(after)})"
    )
    sign: Sign = 0
    if None in before or None in after:
        text += "; without both intervals this shows nothing."
    elif after[0] > before[1]:
        sign, text = 1, f"{text}; the intervals are apart, so chance is an unlikely explanation."
    elif after[1] < before[0]:
        sign, text = -1, f"{text}; the intervals are apart, so it did get worse."
    else:
        text += "; the intervals overlap, so chance alone could explain any difference."
    if control and (after[0] is None or control[1] >= after[0]):
        sign = -1 if sign == -1 else 0
        text += (
            f" Beware: the control “{control[0]}” reaches {percent(control[1])} without knowing the "
            "question, so this accuracy proves little."
        )
    phrase = {
        1: "answers questions better",
        0: "shows no clear change in its answers",
        -1: "answers questions worse",
    }[sign]
    return Judgement(sign=sign, phrase=phrase, sentence=text)


def best_control(controls: dict[str, Any]) -> tuple[str, float] | None:
    """Return the name and the accuracy of the control that does best, or None without controls."""
    measured = [(item.get("accuracy"), name) for name, item in controls.items()]
    best = max(((level, name) for level, name in measured if level is not None), default=None)
    return (best[1], best[0]) if best else None


def _tone(signs: set[Sign | None]) -> Literal["good", "mixed", "bad", "unknown"]:
    """Sum up the judgements: good when all are good, bad when some are bad and none is good."""
    if not signs:
        return "unknown"
    if signs == {1}:
        return "good"
    return "bad" if -1 in signs and 1 not in signs else "mixed"


def verdict(report: dict[str, Any]) -> Verdict:
    """Return what the numbers of the test split show, and nothing more.

    A base model with random weights gets no verdict on its quality, whatever its numbers.
    """
    evaluated, model = report["eval"], report["model"]
    base, tuned = evaluated["base"]["test"], evaluated["tuned"]["test"]
    both = (
        _perplexity(base["perplexity"], tuned["perplexity"], model.get("vocabulary")),
        _accuracy(base, tuned, best_control(evaluated["controls"])),
    )
    summary = " ".join(judgement.sentence for judgement in both)
    if model.get("kind") == "random":
        headline = "The base model has random weights: the scores only show that all commands run."
        return Verdict(tone="unknown", headline=headline, summary=summary)
    known = [judgement for judgement in both if judgement.sign is not None]
    signs = {judgement.sign for judgement in known}
    joined = (" and " if len(signs) == 1 else ", but ").join(each.phrase for each in known)
    return Verdict(
        tone=_tone(signs),
        headline=f"The tuned model {joined}."
        if known
        else "The effect of the adapter on unseen papers is not known.",
        summary=summary,
    )
