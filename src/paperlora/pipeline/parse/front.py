"""Find title, authors and abstract on the first page of a paper."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paperlora.pipeline.parse import scripts
from paperlora.pipeline.parse.blocks import is_prose, is_usual

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperlora.pipeline.parse.blocks import Block, Look
    from paperlora.pipeline.parse.lines import Line

# What journals, archives and templates print above a title, often in larger letters.
_BANNER = re.compile(
    r"arxiv|biorxiv|medrxiv|preprint|proceedings\b|manuscript|draft\b|page \d|\S+@\S+"
    r"|(?:published|presented|submitted|accepted|under review|to appear|appeared|received)\b"
    r"|(?:(?:inter)?national |european |american )?"
    r"(?:journal|transactions|annals|letters|reviews?|advances) (?:of|on|in)\b"
    r"|vol(?:ume|\.)?\s*\d|doi\b|https?:|www\.|copyright|©|\(c\)|open access|available online|citation"
    r"|(?:research|original|review)? ?(?:article|letter|paper|research|review)$"
    r"|original (?:paper|article|research)|(?:technical|working) (?:report|paper)|lecture notes"
    r"|contents lists|science ?direct|elsevier|springer|plos|nature\b.{0,20}$|ieee\b.{0,60}$|\d{4} ieee"
    r"|hhs public|author manuscript|see discussions|a r t i c l e|research in context|noname"
    r"|paper title|title of|this (?:article|paper|work|is)\b"
    r"|(?:conference|workshop) (?:paper|on|track)",
    re.IGNORECASE,
)
_BAD_METADATA = re.compile(
    r"microsoft|powerpoint|untitled|\.(?:dvi|tex|pdf|docx?|indd|qxd|pptx?)\b|^arxiv|^pii\b|^doi\b|template"
    r"|title of|article title|instructions for|no job name|^slide|^layout|paper title|manuscript|^main\b"
    r"|sample paper",
    re.IGNORECASE,
)
_ABSTRACT = re.compile(r"(?:abstract|a b s t r a c t|summary)\s*(?:[-–—.:|]+|$)\s*", re.IGNORECASE)
_AFFILIATION = re.compile(
    r"@|universit|institut|department|dept|laborator|school|college|centre|center\b|research\b|google|facebook|microsoft|inc\b"
    r"|hospital|faculty|academy|corporation|\bcity\b|\busa\b|china|germany|france|\buk\b|street|road|\d{4}|https?:|corresp|equal"
    r"|division|society|group\b|company|\bai\b|\blab",
    re.IGNORECASE,
)
_PARTICLE = r"(?:van|von|de|der|den|del|la|le|da|di|dos|bin|al|el|ter|ten)\b"
_CAPITALISED = r"[^\W\d_a-z][\w'’.-]*"
_NAME = re.compile(rf"{_CAPITALISED}(?: (?:{_PARTICLE}|{_CAPITALISED})){{1,4}}")
_RANK = re.compile(
    r"(?:(?:senior|student|life) )?(?:member|fellow)(?: ieee)?|corresponding author", re.IGNORECASE
)
_MARKS = re.compile(r"[*∗⋆†‡§¶‖#^_\d\u00b9\u00b2\u00b3\u2070-\u2079]+|\([^()]{0,60}\)")


def read(page: Sequence[Block], look: Look, metadata: str) -> tuple[str, list[str]]:
    """Return title and authors; set the roles of the front matter's blocks.

    ``metadata`` is the title in the PDF's own description. It is used where the page shows it too.
    """
    top = [block for block in page if block.role not in {"running", "note", "table", "caption"}]
    chosen = _title_blocks(top, look)
    printed = " ".join(" ".join(block.text for block in chosen).split())
    letters = _plain(" ".join(block.text for block in page[:30]))
    described = " ".join(metadata.split())
    if (
        " " in described
        and described.isprintable()
        and not _BAD_METADATA.search(described)
        and len(_plain(described)) >= 10
        and _plain(described) in letters
        and len(_plain(described)) >= len(_plain(printed)) * 0.6
        and _plain(printed) not in _plain(described)[1:]
        and _plain(described) not in _plain(printed)
    ):
        printed = described
    for block in chosen:
        block.role = "front"
    between = _between(top, chosen)
    if chosen:
        lowest = min((b.lines[-1].y for b in [*chosen, *between]), default=0.0)
        column = chosen[0].lines[0].page
        between += [
            block
            for block in top
            if block not in between
            and block not in chosen
            and block.lines[-1].y >= lowest - look.size
            and block.lines[0].page == column
            and not is_prose(block)
        ]
    for block in between:
        block.role = "front"
    below = chosen[-1].lines[-1].y if chosen else 0.0
    return printed.strip().rstrip("*∗†‡§¶ "), _authors([b for b in between if b.lines[0].y < below])


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _title_blocks(top: Sequence[Block], look: Look) -> list[Block]:
    usable = []
    for index, block in enumerate(top[:40]):
        if block.role == "heading" and _ABSTRACT.fullmatch(block.level):
            break
        text = block.text
        letters = sum(c.isalpha() for c in text)
        if (
            letters >= 6
            and letters > 0.6 * len(text.replace(" ", ""))
            and not _BANNER.match(text)
            and len(text) <= 400
            and block.lines[0].math < 0.5
        ):
            usable.append((index, block))
    if not usable:
        return []
    worth = [(index, block) for index, block in usable if len(block.text.split()) > 1] or usable
    size = max(block.size for _, block in worth)
    if size < 1.02 * look.size:  # all in one size: a bold one, or else the first one
        bold = [item for item in worth if item[1].lines[0].bold]
        index, block = (bold or worth)[0]
        if is_prose(block) and len(block.lines) > 3:
            return []
        return [block]
    first = next(index for index, block in worth if block.size > 0.98 * size)
    chosen = [top[first]]
    for block in top[first + 1 :]:
        last = chosen[-1].lines[-1]
        line = block.lines[0]
        same = abs(line.size - last.size) < 0.03 * last.size and line.bold == last.bold
        if not same or not 0 < last.y - line.y < 2.4 * last.size:
            break
        chosen.append(block)
    return chosen


def _between(top: Sequence[Block], chosen: Sequence[Block]) -> list[Block]:
    """Return the blocks around the title that are not text: names, addresses, dates."""
    if not chosen:
        return []
    place = next(index for index, block in enumerate(top) if block is chosen[0])
    found = [block for block in top[:place] if not is_prose(block) or len(block.lines) < 3]
    rest = top[place + len(chosen) :]
    abstract = next((i for i, block in enumerate(rest[:25]) if _is_abstract(block)), None)
    if abstract is not None:
        return [*found, *rest[:abstract]]
    for block in rest:
        named = block.role == "heading" and is_usual(block.level)
        if named or (is_prose(block) and not _AFFILIATION.search(block.lines[0].text)):
            break
        found.append(block)
    return found


def _is_abstract(block: Block) -> bool:
    return bool(_ABSTRACT.match(block.text)) or (
        block.role == "heading" and bool(_ABSTRACT.fullmatch(block.level))
    )


def _authors(blocks: Sequence[Block]) -> list[str]:
    names: list[str] = []
    for line in (line for block in blocks for line in block.lines):
        for cell in _cells(line):
            for part in re.split(r"\s*[,;·•&|]\s*|(?:^|\s+)and\s+", _MARKS.sub(" ", cell)):
                if _AFFILIATION.search(part):
                    break
                name = " ".join(part.split()).strip(" .-")
                if _NAME.fullmatch(name) and len(name) < 50 and not _RANK.fullmatch(name):
                    names.append(name.title() if name.isupper() else name)
    return list(dict.fromkeys(names))


def _cells(line: Line) -> Iterator[str]:
    """Yield the parts of a line that stand apart: names are often set side by side."""
    start = 0
    for index in range(1, len(line.pieces) + 1):
        end = index == len(line.pieces)
        apart = not end and line.pieces[index].x0 - line.pieces[index - 1].x1 > 0.9 * line.size
        marked = (
            not end and line.pieces[index - 1].y > line.y + 0.2 * line.size
        )  # the mark of a note
        if end or apart or marked:
            yield scripts.text(line.pieces[start:index], line.y, line.size)
            start = index


def inline_abstract(text: str) -> re.Match[str] | None:
    """Return where a line begins with the word "Abstract" and goes on with its text."""
    found = _ABSTRACT.match(text)
    return found if found and found.end() < len(text) else None
