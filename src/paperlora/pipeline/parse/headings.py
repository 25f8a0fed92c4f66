"""Recognise headings: by a look that differs from the text, by their place, with numbers as a hint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paperlora.pipeline.parse import scripts
from paperlora.pipeline.parse.blocks import NAMED, NUMBERED

if TYPE_CHECKING:
    from paperlora.pipeline.parse.blocks import Block, Look
    from paperlora.pipeline.parse.lines import Line

_REFERENCES = re.compile(
    r"(?:references|bibliography|literature cited|works cited|references and notes|literature)\b",
    re.IGNORECASE,
)
_SMALL_CAPITALS = re.compile(r"\b([A-Z]) ([A-Z]{2,})\b")
_VERBS = {"is", "are", "was", "were", "has", "have", "had"}
_SIGN = re.compile(r"[=<>∈∑∏∂≤≥≈∇∞±∫√@{}]|https?:|www\.")
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_LAST = re.compile(
    r"conclu|discussion|acknowledg|appendi|supplement|summary|reference", re.IGNORECASE
)
_APPENDICES = 100  # the number of the section before A, so that letters come after all numbers
_ITALIC_WORDS = 8
_LENGTH = 140  # characters
_WORDS = 20


class Numbers:
    """The section numbers of a paper, which must count up; one may be missing.

    Letters are subsections where the sections have Roman numbers, and appendices after the conclusion.
    """

    def __init__(self) -> None:
        """Start before the first section."""
        self._last: tuple[int, ...] = (0,)
        self._roman = False
        self._concluded = False

    def split(self, text: str) -> tuple[str, str]:
        """Return the number of a heading ("" when it has none) and its title."""
        found = NUMBERED.fullmatch(text)
        if found and (self._key(found["number"]) is not None or found["number"][0].isdigit()):
            return found["number"], found["title"]
        return "", text

    def follow(self, number: str) -> bool:
        """Return whether ``number`` can come next; if so, keep it as the last one."""
        key = self._key(number)
        if key is None:
            return False
        last = self._last
        same = 0
        while same < min(len(key), len(last)) and key[same] == last[same]:
            same += 1
        if same == len(key):
            return False
        before = last[same] if same < len(last) else 0
        good = all(part == 1 for part in key[same + 1 :]) and 1 <= key[same] - before <= 2
        if good or (key[0] > _APPENDICES > last[0] and key[0] <= _APPENDICES + 2):
            self._last = key
            self._roman = self._roman or number in {"I", "II"}
            return True
        return False

    def note(self, title: str) -> None:
        """Remember that a heading was found."""
        self._concluded = self._concluded or bool(_LAST.match(title))

    def _key(self, number: str) -> tuple[int, ...] | None:
        """Return "3.2" as (3, 2), "IV" as (4,), "B.1" as (102, 1); a "B" under "IV" as (4, 2)."""
        named = " " in number  # "Appendix B"
        first, *rest = number.rsplit(maxsplit=1)[-1].split(".")
        below = tuple(int(part) for part in rest if part)
        if first.isdigit():
            return (int(first), *below)
        if set(first) <= set("IVX") and not below and (self._roman or first == "I"):
            return (_roman(first),)
        if len(first) != 1 or not first.isupper():
            return None
        letter = ord(first) - ord("A") + 1
        if self._roman and not self._concluded:
            return (self._last[0], letter)
        return (_APPENDICES + letter, *below) if self._concluded or named or below else None


def _roman(number: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10}[digit] for digit in number]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def is_references(title: str) -> bool:
    """Return whether a heading stands over a list of references."""
    return bool(_REFERENCES.match(title))


def of_block(
    block: Block, before: Block | None, after: Block | None, look: Look, numbers: Numbers
) -> str:
    """Return the heading that a block is, without its number; "" when it is none.

    ``before`` is the block before it, ``after`` the next text.
    """
    text = _SMALL_CAPITALS.sub(r"\1\2", " ".join(map(_without_tags, block.lines)))
    text = re.sub(r"(\w-) (?=[A-Z])", r"\1", re.sub(r"(\w)- (?=[a-z])", r"\1", text))
    if not text or len(text) > _LENGTH or len(text.split()) > _WORDS or len(block.lines) > 3:
        return ""
    number, title = numbers.split(text)
    if not _is_title(title) or not _looks_so(block, before, after, look, title=title, text=text):
        return ""
    counts = numbers.follow(number) if number else True
    if not counts and not NAMED.fullmatch(title) and not _is_strong(block, look, title, text=text):
        return ""
    numbers.note(title)
    return tidy(title)


def _looks_so(
    block: Block, before: Block | None, after: Block | None, look: Look, *, title: str, text: str
) -> bool:
    """Return whether a block looks like a heading and stands like one."""
    first = block.lines[0]
    size = _size(first)
    strong = _is_strong(block, look, title, text=text)
    if any(line.cells > (5 if strong and first.bold else 2) for line in block.lines):
        return False
    if NAMED.fullmatch(title):
        return size > 0.75 * look.size
    if size < 0.94 * look.size or after is None or not _near(block, after):
        return False
    if "@" in after.text and text == title:
        return False  # an author over an address
    if not _is_alone(first, before, look):
        return False
    width = first.column[1] - first.column[0]
    short = first.x1 - first.x0 < 0.8 * width or len(block.lines) > 1
    return strong or (short and (text != title or _is_italic(block)))


def _is_italic(block: Block) -> bool:
    """Return whether a block is one short line in italics that ends as no sentence does."""
    line = block.lines[0]
    few = len(block.lines) == 1 and len(line.text.split()) <= _ITALIC_WORDS
    return few and line.italic and line.text[-1:].isalnum()


def _is_strong(block: Block, look: Look, title: str, *, text: str) -> bool:
    """Return whether a block differs from the text: bold, in capitals, or larger."""
    first = block.lines[0]
    capitals = title.isupper() and sum(map(len, _LETTERS.findall(title))) >= 5
    larger = _size(first) > 1.04 * look.size and (text != title or block.family in look.families)
    return first.bold or capitals or larger


def _size(line: Line) -> float:
    return max(piece.size for piece in line.pieces)  # small capitals are smaller than their heading


def _is_alone(first: Line, before: Block | None, look: Look) -> bool:
    """Return whether there is space above a line, or a heading, or the top of a column."""
    if before is None or before.role == "heading":
        return True
    last = before.lines[-1]
    return last.column != first.column or last.y - first.y > 1.15 * look.leading * first.size


def _without_tags(line: Line) -> str:
    """Return the text of a heading's line without what stands far to its right in another font."""
    pieces = line.pieces
    for index in range(1, len(pieces)):
        before = "".join(piece.text for piece in pieces[:index])
        apart = pieces[index].x0 - pieces[index - 1].x1 > 1.3 * line.size
        if apart and len(_LETTERS.findall(before)) > 0 and pieces[index].font != pieces[0].font:
            return scripts.text(pieces[:index], line.y, line.size)
    return line.text


def _near(block: Block, after: Block) -> bool:
    """Return whether the text under a heading begins near it: below it, in the next column or page."""
    line, next_line = block.lines[-1], after.lines[0]
    elsewhere = next_line.page != line.page or next_line.y > line.y
    return elsewhere or line.y - next_line.y < 8 * line.size


def _is_title(title: str) -> bool:
    letters = sum(map(len, _LETTERS.findall(title)))
    words = title.split()
    return (
        letters >= 3
        and letters > 0.5 * len(title.replace(" ", ""))
        and (title[0].isupper() or title[0].isdigit() or title[0] in "“\"'(‘α")
        and not _SIGN.search(title)
        and not re.search(r"[;,]$|[a-z]{3}\.$|[a-z]{3}\. [A-Z]", title)
        and not (_VERBS & {word.casefold() for word in words} and len(words) > 7)
    )


def tidy(title: str) -> str:
    """Return a heading as it is stored: without a full stop, not in capitals."""
    title = title.strip().rstrip(".: ")
    if not title.isupper():
        return title
    return title.title() if " " in title else title.capitalize()
