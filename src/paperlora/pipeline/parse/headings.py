"""Recognise section headings among lines of text: numbered, named or in capitals."""

from __future__ import annotations

import re

_NAMED = re.compile(
    r"(?:abstract|introduction|background|preliminaries|related works?|prior work|methods?"
    r"|methodology|materials and methods|methods and materials|data|experiments?"
    r"|experimental setup|evaluation|results?|results and discussion|discussion"
    r"|discussion and conclusions?|limitations"
    r"|conclusions?|conclusions? and (?:future work|discussion|outlook)|future work|summary"
    r"|acknowledge?ments?|broader impact|ethics statement|data availability|code availability"
    r"|availability|funding|competing interests|conflicts? of interest|author contributions)[.:]?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"(?P<number>\d{1,2}(?:\.\d{1,2}){0,3}(?=\.\D|\s|[A-Z])"
    r"|(?:[A-Z](?:\.\d{1,2}){0,3}|[IVX]{2,4})(?=\.|\s))"
    r"\.?\s*(?P<title>[A-Z].*)"
)
_INLINE_ABSTRACT = re.compile(r"abstract\s*[-\u2013\u2014.:]+\s*(?=\S)", re.IGNORECASE)
_APPENDIX = re.compile(
    r"(?:appendix|appendices|supplementary (?:materials?|information))\b.{0,60}", re.IGNORECASE
)
_REFERENCES = re.compile(
    r"(?:\d{1,2}\.?\s*)?(?:references(?: and notes)?|bibliography|literature cited|works cited)"
    r"[.:]?(?=$|\[1\]|[A-Z][a-z]+,)",  # the first reference may be glued to the heading
    re.IGNORECASE,
)
_SMALL_CAPITALS = re.compile(r"\b([A-Z]) ([A-Z]{2,})\b")  # "I NTRODUCTION"
_SYMBOL = re.compile(r"[=<>∈∑∏∂←→≤≥≈∼∇∞±×∫√]")
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_LAST = re.compile(r"(?:conclu|discussion|acknowledg|appendi|supplement|summary)", re.IGNORECASE)
_VERBS = {"we", "is", "are", "was", "were", "has", "have", "will"}  # a heading has none of them
_STOP = re.compile(r"[a-z]{3}\. ")  # the end of a sentence, not of an abbreviation
_LENGTH = 90  # characters
_WORDS = 14
_GLUED_LENGTH = 50  # characters of a heading such as "2Method"; longer lines are footnotes
_APPENDICES = 100  # the number of the section before A, so that letters come after all numbers


class Headings:
    """Recognise the headings of one paper, line by line; the last section number is kept.

    Numbers must count up (one may be missing), which table rows and list items seldom do. Letters
    are subsections where the sections have Roman numbers, and appendices after the conclusion.
    """

    def __init__(self) -> None:
        """Start before the first section."""
        self._last: tuple[int, ...] = (0,)
        self._roman = False
        self._concluded = False

    def match(self, text: str) -> str | None:
        """Return the heading in the line ``text``, without its number; ``None`` for other lines."""
        text = _SMALL_CAPITALS.sub(r"\1\2", text)
        if not text or len(text) > _LENGTH:
            return None
        if (_NAMED.fullmatch(text) and text[0].isupper()) or is_appendix(text):
            return self._found(text)
        numbered = _NUMBERED.fullmatch(text)
        glued = numbered and numbered.start("title") == numbered.end("number")
        if glued and len(text) > _GLUED_LENGTH:
            return None
        if numbered and is_title(numbered["title"]) and self._follows(numbered):
            return self._found(numbered["title"])
        letters = "".join(_LETTERS.findall(text))
        capitals = letters.isupper() and len(letters) >= 8 and " " in text and is_title(text)
        return self._found(text) if capitals else None

    def _found(self, text: str) -> str:
        """Return a heading as it is stored: without full stop, not in capitals."""
        text = text.rstrip(".: ")
        self._concluded = self._concluded or bool(_LAST.match(text))
        if not text.isupper():
            return text
        return text.title() if " " in text else text.capitalize()

    def _follows(self, numbered: re.Match[str]) -> bool:
        """Return whether this number can come next; if so, keep it as the last one."""
        key = self._key(numbered["number"])
        # A usual name makes up for numbers that the extractor lost.
        named = _NAMED.fullmatch(numbered["title"])
        good = key is not None and (_is_next(key, self._last) or (bool(named) and key > self._last))
        if key is not None and good:
            self._last = key
            self._roman = self._roman or numbered["number"] in {"I", "II"}
        return good

    def _key(self, number: str) -> tuple[int, ...] | None:
        """Return "3.2" as (3, 2), "IV" as (4,), "B.1" as (102, 1); a "B" under "IV" as (4, 2)."""
        first, *rest = number.split(".")
        below = tuple(map(int, rest))
        if first.isdigit():
            return (int(first), *below)
        if set(first) <= set("IVX") and (self._roman or first == "I"):
            return (_roman(first), *below)
        if len(first) > 1:
            return None
        letter = ord(first) - ord("A") + 1
        if self._concluded:
            return (_APPENDICES + letter, *below)
        return (self._last[0], letter) if self._roman else None


def _is_next(key: tuple[int, ...], last: tuple[int, ...]) -> bool:
    """Return whether the number ``key`` can come after ``last``."""
    same = 0  # the number of levels that are equal
    while same < min(len(key), len(last)) and key[same] == last[same]:
        same += 1
    if same == len(key):
        return False
    if same < len(key) - 1 and key[same + 1 :] != (1,):
        return False  # "4.2.3" needs a "4.2" before it, "5.1" does not need a "5"
    before = last[same] if same < len(last) else 0
    return key[same] - before in {1, 2} or (
        same == 0 and before < _APPENDICES < key[0] <= _APPENDICES + 2
    )


def _roman(number: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10}[digit] for digit in number]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def is_numbered(text: str) -> bool:
    """Return whether ``text`` begins as a numbered heading does."""
    return bool(_NUMBERED.fullmatch(text))


def is_title(text: str) -> bool:
    """Return whether ``text`` looks like a heading: a few words, not a sentence, not a formula."""
    letters = sum(map(len, _LETTERS.findall(text)))
    return (
        len(text.split()) <= _WORDS
        and text[-1] not in ".,;:="
        and letters >= max(3, 0.7 * len(text.replace(" ", "")))
        and not _SYMBOL.search(text)
        and not _STOP.search(text)
        and _VERBS.isdisjoint(text.casefold().split())
    )


def is_abstract(text: str) -> bool:
    """Return whether the line ``text`` is, or begins with, the heading of the abstract."""
    return text.casefold().rstrip(".:") == "abstract" or inline_abstract(text) > 0


def inline_abstract(text: str) -> int:
    """Return the position of the text after "Abstract—" on the same line; 0 when there is none."""
    found = _INLINE_ABSTRACT.match(text)
    return found.end() if found else 0


def is_references(text: str) -> bool:
    """Return whether the line ``text`` is the heading of the reference list.

    "references" in small letters is the broken end of a sentence.
    """
    return text[0] != "r" and bool(_REFERENCES.match(text))


def is_appendix(text: str) -> bool:
    """Return whether the line ``text`` is the heading of an appendix."""
    return bool(_APPENDIX.fullmatch(text)) and text[0].isupper() and is_title(text.rstrip(".:"))
