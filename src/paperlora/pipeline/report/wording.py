"""Numbers and results in plain words: the same on the page, in the card and beside the plots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ABSENT = "\u2013"
"""A dash: stands where there is no number."""

GAP = "\u00a0"
"""The space between a number and its unit, where no line may end."""

SMALL_CHANGE = 0.01
"""A relative change of perplexity below this is called no change."""

Sign = Literal[-1, 0, 1] | None
"""Worse, no clear change, better, or not measured."""


def number(value: float | None, decimals: int | None = None) -> str:
    """Write a number with the decimals its size deserves: ``1,234``, ``23.1``, ``0.126``."""
    if value is None:
        return ABSENT
    if decimals is None:
        size = abs(value)
        whole = isinstance(value, int) or size >= 1000
        decimals = 0 if whole else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}".replace("-", "\u2212")


def percent(value: float | None) -> str:
    """Write a share: 0.354 as ``35.4 %``."""
    return ABSENT if value is None else f"{number(100 * value, 1)}{GAP}%"


def points(value: float | None) -> str:
    """Write a difference of two shares in percentage points: 0.126 as ``12.6 points``."""
    return percent(value).replace("%", "points")


def interval(bounds: list[float | None] | None) -> str:
    """Write an interval of shares: ``21.9 to 48.9 %``."""
    low, high = bounds or (None, None)
    return ABSENT if low is None or high is None else f"{100 * low:.1f} to {percent(high)}"


def count(items: int, noun: str) -> str:
    """Write how many there are: ``1 paper``, ``12 papers``."""
    return f"{items:,}{GAP}{noun}{'' if items == 1 else 's'}"


def memory(size: float | None) -> str:
    """Write a number of bytes in MiB or GiB."""
    if size is None:
        return ABSENT
    return f"{size / 2**30:.2f}{GAP}GiB" if size >= 2**30 else f"{size / 2**20:.0f}{GAP}MiB"


def duration(seconds: float | None) -> str:
    """Write a time: ``8.4 s``, ``3 min 07 s``, ``2 h 05 min``."""
    if seconds is None:
        return ABSENT
    if seconds < 59.95:  # what rounds to 60 is a minute
        return f"{seconds:.1f}{GAP}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    parts = (hours, "h", f"{left:02d}", "min") if hours else (minutes, "min", f"{rest:02d}", "s")
    return GAP.join(map(str, parts))


def trained_share(model: dict[str, Any]) -> float:
    """Return the trained share of all parameters; ``model.parameters`` counts the frozen ones."""
    trained = int(model["trainable"])
    return trained / max(1, trained + int(model["parameters"]))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came out on papers that training never saw."""

    tone: Literal["good", "mixed", "bad", "unknown"]
    headline: str
    summary: str


def _perplexity(base: float | None, tuned: float | None) -> tuple[Sign, str]:
    """Judge the test perplexity; lower is better."""
    if base is None or tuned is None or base <= 0:
        return None, "Test perplexity could not be compared."
    change = tuned / base - 1
    if abs(change) < SMALL_CHANGE:
        return 0, f"Test perplexity hardly changed: {number(base)} before, {number(tuned)} after."
    numbers = f"from {number(base)} to {number(tuned)} ({percent(abs(change))}"
    if change < 0:
        return 1, f"Test perplexity fell {numbers} lower, which is better)."
    return -1, f"Test perplexity rose {numbers} higher, which is worse)."


def _accuracy(base: dict[str, Any], tuned: dict[str, Any]) -> tuple[Sign, str]:
    """Judge the test accuracy: a difference is clear only when the 95 % intervals are apart."""
    if not (base["n"] and tuned["n"]) or base["accuracy"] is None or tuned["accuracy"] is None:
        return None, "Test accuracy could not be compared."
    before, after = base["accuracy_ci95"], tuned["accuracy_ci95"]
    text = (
        f"Accuracy on {count(tuned['n'], 'test question')}: {percent(base['accuracy'])} → "
        f"{percent(tuned['accuracy'])} "
        f"(95{GAP}% intervals {interval(before)} and {interval(after)})"
    )
    if None in before or None in after:
        return 0, f"{text}; without both intervals this shows nothing."
    if after[0] > before[1]:
        return 1, f"{text}; the intervals are apart, so chance is an unlikely explanation."
    if after[1] < before[0]:
        return -1, f"{text}; the intervals are apart, so it did get worse."
    return 0, f"{text}; the intervals overlap, so chance alone could explain any difference."


def best_control(controls: dict[str, Any]) -> tuple[str, float] | None:
    """Return the name and the accuracy of the control that does best, or None without controls."""
    measured = [
        (item["accuracy"], name)
        for name, item in controls.items()
        if item.get("accuracy") is not None
    ]
    return (max(measured)[1], max(measured)[0]) if measured else None


PREDICTS = {
    1: "predicts the text of unseen papers better",
    0: "predicts the text of unseen papers no better",
    -1: "predicts the text of unseen papers worse",
}
ANSWERS = {
    1: "answers questions better",
    0: "shows no clear change in its answers",
    -1: "answers questions worse",
}


def _headline(predicts: Sign, answers: Sign) -> str:
    """Put both judgements into one short sentence."""
    judged = ((PREDICTS, predicts), (ANSWERS, answers))
    parts = [words[sign] for words, sign in judged if sign is not None]
    if not parts:
        return "The effect of the adapter on unseen papers is not known."
    return f"The tuned model {(' and ' if predicts == answers else ', but ').join(parts)}."


def _tone(signs: set[int]) -> Literal["good", "mixed", "bad", "unknown"]:
    """Sum up what was judged: good when all of it is, bad when some is and nothing is good."""
    if not signs:
        return "unknown"
    if signs == {1}:
        return "good"
    return "bad" if -1 in signs and 1 not in signs else "mixed"


def verdict(report: dict[str, Any]) -> Verdict:
    """Say what the numbers of the test split say, no more.

    An accuracy counts as an improvement only when its whole interval lies above every control.
    """
    evaluated = report["eval"]
    base, tuned = evaluated["base"]["test"], evaluated["tuned"]["test"]
    predicts, about_perplexity = _perplexity(base["perplexity"], tuned["perplexity"])
    answers, about_accuracy = _accuracy(base, tuned)
    sentences = [about_perplexity, about_accuracy]
    control = best_control(evaluated["controls"])
    if control and answers is not None and control[1] >= tuned["accuracy_ci95"][0]:
        answers = -1 if answers == -1 else 0
        sentences.append(
            f"Beware: the control “{control[0]}” reaches {percent(control[1])} without knowing the "
            "question, so this accuracy proves little."
        )
    return Verdict(
        tone=_tone({sign for sign in (predicts, answers) if sign is not None}),
        headline=_headline(predicts, answers),
        summary=" ".join(sentences),
    )
