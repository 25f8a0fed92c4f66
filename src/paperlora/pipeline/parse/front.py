"""Find title, authors and abstract on the first page of a paper."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paperlora.pipeline.parse import scripts
from paperlora.pipeline.parse.blocks import CAPTION, Block, is_prose, is_usual

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from paperlora.pipeline.parse.blocks import Look
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
_COVER = re.compile(
    r"to cite this version|hal id:|see discussions, stats, and author profiles|uploaded by .* on \d"
    r"|accessed: \d|your use of the jstor"
    r"|this is the (?:author['’]s )?(?:accepted|submitted|final) (?:manuscript|version)"
    r"|downloaded from .{0,80} on \d|citation for (?:the )?(?:published|original)|white rose research",
    re.IGNORECASE,
)
_COVER_WORDS = 450
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
    r"|division|society|office\b|agency|ministry|bureau|observatory|museum|foundation|association|group\b|company|\bai\b|\blab",
    re.IGNORECASE,
)
_PARTICLE = r"(?:van|von|de|der|den|del|la|le|da|di|dos|bin|al|el|ter|ten)\b"
_CAPITALISED = r"[^\W\d_a-z][\w'’.-]*"
_NAME = re.compile(rf"{_CAPITALISED}(?: (?:{_PARTICLE}|{_CAPITALISED})){{1,4}}")
_RANK = re.compile(
    r"(?:(?:senior|student|life) )?(?:member|fellow)(?: ieee)?|corresponding author|article (?:info|history)"
    r"|.*\b(?:received|accepted|published|revised|january|february|march|april|may|june|july|august"
    r"|september|october|november|december)\b.*",
    re.IGNORECASE,
)
_MARKS = re.compile(r"[*∗⋆†‡§¶‖#^_\d\u00b9\u00b2\u00b3\u2070-\u2079]+|\([^()]{0,60}\)")


def read(page: list[Block], look: Look, metadata: str) -> tuple[str, list[str]]:
    """Return title and authors; set the role of the front matter's blocks.

    ``metadata`` is the title in the PDF's own description. It is used where the page shows it too.
    """
    _separate(page)
    head = _head(page, look)
    chosen = _title_blocks(head, look)
    for block in chosen:
        block.role = "front"
    if not chosen:
        return "", []
    between = [
        block
        for block in head
        if block.role != "front" and not _is_text(block) and not is_usual(block.text.strip())
    ]
    lowest = min(block.lines[-1].y for block in [*chosen, *between])
    left, right = chosen[0].lines[0].column
    between += [
        block
        for block in page
        if block not in head
        and block.lines[-1].y >= lowest - look.size
        and left - look.size <= block.lines[0].x0
        and block.lines[0].x1 <= right + look.size
        and not (is_prose(block) or is_usual(block.text.strip()) or _is_abstract(block))
    ]
    for block in between:
        block.role = "front"
    below = chosen[-1].lines[-1].y
    authors = _authors([block for block in between if block.lines[0].y < below])
    return _chosen_title(chosen, page, metadata), authors


def is_cover(page: Sequence[Block]) -> bool:
    """Return whether a page was put before the paper by an archive."""
    text = " ".join(block.text for block in page)
    return (
        bool(_COVER.search(text) or text.startswith("Highlights"))
        and len(text.split()) < _COVER_WORDS
    )


def _separate(page: list[Block]) -> None:
    """Cut the names under a title off it, where both have one look."""
    for index, block in enumerate(page[:6]):
        if _is_abstract(block) or _is_text(block):
            return
        for place, line in enumerate(block.lines[1:], start=1):
            several = "," in line.text or " and " in line.text
            if _AFFILIATION.search(line.text) or (several and _names(_cells(line))):
                page.insert(index + 1, Block(block.lines[place:]))
                del block.lines[place:]
                return


def _head(page: Sequence[Block], look: Look) -> list[Block]:
    """Return the blocks of page one before the abstract, or else before the first text."""
    top = max((block.lines[0].y for block in page), default=0.0)
    usable = [
        block
        for block in page[:60]
        if not CAPTION.match(block.text)
        and not (block.size < 0.94 * look.size and block.lines[0].y < 0.5 * top)
    ]
    for index, block in enumerate(usable):
        if _is_abstract(block):
            return usable[:index]
    for index, block in enumerate(usable):
        if (_is_text(block) and index > 0) or is_usual(block.text.strip()):
            return usable[:index]
    return usable


def _is_text(block: Block) -> bool:
    """Return whether a block is a paragraph and not names, addresses or dates."""
    return is_prose(block) and len(block.lines) > 2 and not _AFFILIATION.search(block.lines[0].text)


def _is_abstract(block: Block) -> bool:
    return bool(_ABSTRACT.match(block.text))


def _chosen_title(chosen: Sequence[Block], page: Sequence[Block], metadata: str) -> str:
    """Return the printed title, or the described one where the page has it and the other is not in it."""
    printed = " ".join(" ".join(block.text for block in chosen).split())
    described = " ".join(metadata.split())
    shown, wanted = _plain(printed), _plain(described)
    usable = (
        " " in described
        and described.isprintable()
        and not _BAD_METADATA.search(described)
        and len(wanted) >= max(10, 0.6 * len(shown))
        and wanted in _plain(" ".join(block.text for block in page[:30]))
        and shown not in wanted
        and wanted not in shown
    )
    return described if usable else printed.strip().rstrip("*∗†‡§¶ ")


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _title_blocks(head: Sequence[Block], look: Look) -> list[Block]:
    usable = [
        block
        for block in head
        if sum(map(str.isalpha, block.text)) > max(5, 0.6 * len(block.text.replace(" ", "")))
        and not _BANNER.match(block.text)
        and not _is_text(block)
        and len(block.text) <= 400
    ]
    worth = [block for block in usable if len(block.text.split()) > 1] or usable
    if not worth:
        return []
    size = max(block.size for block in worth)
    if size < 1.02 * look.size:  # all in one size: a bold one, or else the first one
        bold = [block for block in worth if block.lines[0].bold]
        return (bold or worth)[:1]
    first = next(block for block in worth if block.size > 0.98 * size)
    chosen = [first]
    for block in head[head.index(first) + 1 :]:
        last, line = chosen[-1].lines[-1], block.lines[0]
        same = abs(line.size - last.size) < 0.03 * last.size and line.bold == last.bold
        same = same and line.text.isupper() == last.text.isupper()
        if not same or not 0 < last.y - line.y < 2.4 * last.size:
            break
        chosen.append(block)
    return chosen


def _authors(blocks: Sequence[Block]) -> list[str]:
    names: list[str] = []
    for block in blocks:
        cells: list[str] = []
        for line in block.lines:
            parts = list(_cells(line))
            # In a list with commas a name may go over two lines.
            if cells and len(parts) == 1 and "," in cells[-1] and not cells[-1].endswith(","):
                cells[-1] += f" {parts[0]}"
            else:
                cells += parts
        names += _names(cells)
    return list(dict.fromkeys(names))


def _names(cells: Iterable[str]) -> list[str]:
    """Return the names of people in parts of lines, up to the first address of each."""
    names: list[str] = []
    for cell in cells:
        for part in re.split(r"\s*[,;·•&|]\s*(?:and\s+)?|\s+and\s+|^and\s+", _MARKS.sub(" ", cell)):
            if _AFFILIATION.search(part):
                break
            name = " ".join(part.split()).strip(" -")
            if _NAME.fullmatch(name) and len(name) < 50 and not _RANK.fullmatch(name):
                names.append(name.title() if name.isupper() else name)
    return names


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
