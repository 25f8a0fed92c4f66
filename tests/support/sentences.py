"""Make English prose from a seed: varied sentences of common words."""

from __future__ import annotations

import random


def _words(text: str) -> list[str]:
    return sorted(set(text.split()))


_NOUNS = _words("""
river garden bridge winter harbour engine forest village market teacher window mountain valley kitchen
station library surface pressure temperature material instrument machine pattern signal network channel
storage current sample region border season weather channel meadow quarry orchard furnace lantern ladder
carpet bottle blanket basket hammer saddle candle mirror needle pillow rabbit spider turtle pigeon salmon
glacier desert island volcano canyon plateau reservoir aqueduct windmill lighthouse telescope microscope
thermometer barometer compass pendulum magnet crystal mineral fossil sediment granite limestone charcoal
harvest fertilizer greenhouse irrigation vineyard plantation nursery laboratory workshop warehouse factory
railway highway crossing junction tunnel platform carriage locomotive passenger conductor engineer
""")
_VERBS = _words("""
carries follows changes reaches protects improves reduces describes explains measures controls supports
surrounds replaces connects separates gathers releases absorbs reflects delivers predicts confirms limits
strengthens disturbs balances captures records exceeds resembles influences encourages prevents transforms
""")
_ADJECTIVES = _words("""
quiet narrow heavy bright distant careful gentle hollow modern ancient broken steady simple complex local
northern southern winter frozen fertile barren wooden metallic flexible reliable efficient financial
sufficient difficult different official reflective fluent shallow crowded empty ordinary remarkable gradual
seasonal regional chemical mechanical electrical numerical historical practical theoretical
""")
_ADVERBS = _words("""
slowly rarely often usually clearly nearly partly mostly quickly carefully gradually generally strongly
""")
_OPENINGS = [
    "In most years",
    "After the second trial",
    "Before the first frost",
    "On the eastern side",
    "During the longest observation",
    "As a consequence",
    "By contrast",
    "In the final comparison",
    "According to the older reports",
    "Under these conditions",
    "Within a single week",
    "At the same time",
]
_JOINS = ["because", "although", "while", "whereas", "so that", "unless", "before", "after"]
_SURNAMES = _words("""
Abbott Barlow Carver Dalton Emerson Fletcher Granger Holloway Ingram Jarvis Keller Lambert Mercer Norwood
Osborne Prescott Quigley Radford Sheldon Thornton Underwood Vaughan Whitaker Yardley
""")


class Writer:
    """Writes sentences, paragraphs, headings, names and references; equal seeds write equal text."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def sentence(self) -> str:
        """Return a sentence of 8 to 25 words."""
        form = self._random.randrange(4)
        one, other = self._clause(), self._clause()
        if form == 0:
            text = f"{one} {self._pick(_JOINS)} {other}"
        elif form == 1:
            text = f"{self._pick(_OPENINGS)}, {one}"
        elif form == 2:
            text = f"{one}, and {other}"
        else:
            text = f"{one} in {self._number(3, 97)} of {self._number(100, 999)} cases"
        return text[0].upper() + text[1:] + "."

    def paragraph(self, sentences: int = 5) -> str:
        """Return a paragraph of so many sentences."""
        return " ".join(self.sentence() for _ in range(sentences))

    def heading(self) -> str:
        """Return a heading of two to five words."""
        noun, other = self._pick(_NOUNS), self._pick(_NOUNS)
        plural = f"{noun[:-1]}ies" if noun[-1] == "y" and noun[-2] not in "aeiou" else f"{noun}s"
        forms = [
            f"The {self._pick(_ADJECTIVES)} {noun}",
            f"{self._pick(_ADJECTIVES).title()} {plural}",
            f"How a {noun} meets the {other}",
            f"Measuring the {noun}",
        ]
        return self._pick(forms)

    def title(self) -> str:
        """Return a title that takes two lines in large type."""
        return (
            f"On the {self._pick(_ADJECTIVES).title()} {self._pick(_NOUNS).title()} and the "
            f"{self._pick(_ADJECTIVES).title()} {self._pick(_NOUNS).title()}: "
            f"{self._pick(_ADJECTIVES).title()} Observations of the {self._pick(_NOUNS).title()}"
        )

    def author(self) -> str:
        """Return an initial and a surname."""
        return f"{self._pick('ABCDEGHJKLMNPRST')}. {self._pick(_SURNAMES)}"

    def reference(self) -> str:
        """Return an entry of a reference list, without its number."""
        return (
            f"{self.author()} and {self.author()}. {self.heading()} of the {self._pick(_ADJECTIVES)} "
            f"{self._pick(_NOUNS)}. Journal of {self._pick(_NOUNS).title()} Studies, "
            f"{self._number(2, 60)}:{self._number(100, 400)}, {self._number(1961, 2023)}."
        )

    def _clause(self) -> str:
        adverb = f"{self._pick(_ADVERBS)} " if self._random.random() < 0.4 else ""
        return f"{self._group()} {adverb}{self._pick(_VERBS)} {self._group()}"

    def _group(self) -> str:
        article = self._pick(["the", "every", "each", "this", "one", "another"])
        adjective = f"{self._pick(_ADJECTIVES)} " if self._random.random() < 0.7 else ""
        tail = f" of the {self._pick(_NOUNS)}" if self._random.random() < 0.3 else ""
        return f"{article} {adjective}{self._pick(_NOUNS)}{tail}"

    def _number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def _pick(self, values: list[str] | str) -> str:
        return values[self._random.randrange(len(values))]
