"""Read the prose of the LaTeX sources of the papers that ship: the truth that text is compared with.

Prose is the abstract and every paragraph of the body up to the bibliography. These are not prose:
the title block with its notes, headings, figures and tables with their captions, displayed formulas,
the bibliography, running heads. Inside a sentence, formulas, citations and references to a table, an
equation or a section are gaps: the text may show them in several ways (see ``judge``).

Only the macros that the sources use are understood. Another macro raises ``ValueError``, so that the
truth loses no word in silence.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WORD = re.compile(r"[^\W\d_]+|\d+")
"""Letters or digits: "80 GB" and "80GB" are the same words, "1020" and "10^20" are not."""

_OPEN, _CLOSE = "\ue000", "\ue001"  # private characters around the number of a gap
_PART = re.compile(rf"{_OPEN}(\d+){_CLOSE}|{WORD.pattern}")
_ABBREVIATED = r"(?<!\bet al\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\b[A-Z]\.)"
_SENTENCE_END = re.compile(rf"(?<=[.!?])[”\")]?{_ABBREVIATED}\s+(?=[A-Z0-9(“{_OPEN}])")
_DROPPED_ENVIRONMENTS = ("figure", "table", "center", "tikzpicture")
_DISPLAYS = re.compile(r"\\begin\{(equation|align)\}(.*?)\\end\{\1\}", re.DOTALL)
_INLINE = re.compile(r"([A-Za-z0-9]*)\$((?:[^$\\]|\\.)*)\$([A-Za-z0-9]*)", re.DOTALL)
_DROPPED_MACROS = re.compile(
    r"\\(?:maketitle|noindent|small|scshape|bigskip|centering)(?![A-Za-z])"
    r"|\\(?:thispagestyle|label|vspace)\{[^}]*\}|\\(?:footnotetext|thanks)\{[^}]*\}"
)
_TRANSPARENT = re.compile(r"\\(?:emph|textbf|textsf|textsubscript|itshape)(?![A-Za-z])")
_OPERATORS = ("ln", "log", "exp", "sin", "tan", "max", "min", "lim", "Pr")
_ACCENTS = {
    "'": "\u0301",
    '"': "\u0308",
    "`": "\u0300",
    "^": "\u0302",
    "~": "\u0303",
    "c": "\u0327",
}


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A place in a sentence that holds no prose."""

    kind: str
    """``inline`` or ``display`` for a formula, ``cite``, or ``ref``."""
    letters: frozenset[str] = frozenset()
    """The letters and digits that the source of a formula has, without the names of macros."""
    bare: bool = False
    """The formula has neither letter nor digit nor Greek letter, for example a lone sign."""


Sentence = list[str | Gap]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """The prose of one source: its headings, and its sentences in order, paragraph by paragraph."""

    headings: list[str]
    paragraphs: list[list[Sentence]]

    @property
    def sentences(self) -> list[Sentence]:
        """Return all sentences in order."""
        return [sentence for paragraph in self.paragraphs for sentence in paragraph]

    @property
    def words(self) -> list[str]:
        """Return the words of the prose in order, without those of the gaps."""
        return [part for sentence in self.sentences for part in sentence if isinstance(part, str)]


def read(path: Path) -> Paper:
    """Return the prose of the source at ``path``. Raises ``ValueError`` for an unknown macro."""
    source = re.sub(r"(?<!\\)%.*", "", path.read_text(encoding="utf-8"))
    preamble, _, rest = source.partition(r"\begin{document}")
    body = _expand(rest.partition(r"\begin{thebibliography}")[0], _macros(preamble))
    body = _abstract_in_a_box(body)
    for name in _DROPPED_ENVIRONMENTS:
        body = re.sub(rf"\\begin\{{{name}\*?\}}.*?\\end\{{{name}\*?\}}", "", body, flags=re.DOTALL)
    gaps: list[Gap] = []
    headings: list[str] = []

    def gap(kind: str, formula: str = "") -> str:
        gaps.append(_gap(kind, formula))
        return f"{_OPEN}{len(gaps) - 1}{_CLOSE}"

    def display(match: re.Match[str]) -> str:
        formula = re.sub(r"\\label\{[^}]*\}|\\notag|\\nonumber", "", match[2]).rstrip(" \n~")
        end = formula[-1] if formula[-1:] in {".", ",", ";", ":"} else ""
        return f" {gap('display', formula)}{end} "

    def heading(match: re.Match[str]) -> str:
        headings.append(" ".join(_plain(match[1]).split()))
        return "\n\n"

    body = _DISPLAYS.sub(display, body)
    body = _INLINE.sub(lambda match: gap("inline", " ".join(match.groups())), body)
    body = re.sub(r"\\cite\{[^}]*\}", lambda _: gap("cite"), body)
    body = re.sub(r"\\(?:eq)?ref\{[^}]*\}", lambda _: gap("ref"), body)
    body = re.sub(r"\\section\*?\{((?:[^{}]|\{[^{}]*\})*)\}", heading, body)
    body = re.sub(r"\\(?:begin|end)\{(?:abstract|document)\}", "\n\n", body)
    paragraphs = []
    for block in re.split(r"\n\s*\n", _plain(body)):
        parts = [_parts(text, gaps) for text in _SENTENCE_END.split(block.strip())]
        sentences = [part for part in parts if any(isinstance(item, str) for item in part)]
        if sentences:
            paragraphs.append(sentences)
    return Paper(headings=headings, paragraphs=paragraphs)


def _parts(text: str, gaps: list[Gap]) -> Sentence:
    return [gaps[int(match[1])] if match[1] else match[0].lower() for match in _PART.finditer(text)]


def _gap(kind: str, formula: str) -> Gap:
    shown = re.sub(r"\\[,;!: ]", " ", formula)
    greek = re.search(
        r"\\(?!frac|tfrac|cdot|times|left|right|quad|qquad)[a-z]{2,}", shown, re.IGNORECASE
    )
    named = "".join(name for name in _OPERATORS if f"\\{name}" in shown)
    shown = re.sub(r"\\[A-Za-z]+", " ", shown)
    letters = frozenset((named + "".join(WORD.findall(shown))).lower())
    return Gap(kind=kind, letters=letters, bare=not letters and not greek)


def _macros(preamble: str) -> dict[str, str]:
    """Return the source's own macros without arguments, name → replacement."""
    found = {}
    pattern = r"\\(newcommand|DeclareMathOperator)\{\\([A-Za-z]+)\}\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
    for match in re.finditer(pattern, preamble):
        operator = match[1] == "DeclareMathOperator"
        found[match[2]] = rf"\mathrm{{{match[3]}}}" if operator else match[3]
    return found


def _expand(body: str, macros: dict[str, str]) -> str:
    for name, replacement in macros.items():
        # A space keeps the letters of the replacement apart from a command before it.
        body = re.sub(
            rf"(\\[A-Za-z]+)?\\{name}(?![A-Za-z])[ \t]*",
            lambda match, new=replacement: f"{match[1]} {new}" if match[1] else new,
            body,
        )
    return body


def _abstract_in_a_box(body: str) -> str:
    """Return ``body`` with the title block that ``\\twocolumn[…]`` spans replaced by its abstract."""
    match = re.search(r"\\twocolumn\[\{(.*?)\n\}\]", body, re.DOTALL)
    if match is None:
        return body
    box = re.search(r"\\begin\{minipage\}\{[^}]*\}(.*?)\\end\{minipage\}", match[1], re.DOTALL)
    if box is None:
        raise ValueError("the title block has no minipage with the abstract")
    return f"{body[: match.start()]}\n\n{box[1]}\n\n{body[match.end() :]}"


def _plain(text: str) -> str:
    """Return ``text`` without macros and braces. Raises ``ValueError`` for an unknown macro."""
    text = _DROPPED_MACROS.sub("", text)
    text = _TRANSPARENT.sub("", text)
    text = re.sub(
        r"""\\(['"`^~]|c(?=\{))\{?([A-Za-z])\}?""",
        lambda match: unicodedata.normalize("NFC", match[2] + _ACCENTS[match[1]]),
        text,
    )
    text = re.sub(r"\\[, ;]|~", " ", text)
    text = re.sub(r"\\([%&#$_])", r"\1", text)
    text = text.replace("``", "“").replace("''", "”")
    unknown = re.search(r"\\\S{1,12}", text)
    if unknown:
        raise ValueError(f"the macro {unknown[0]!r} is unknown → add it to tests/support/latex.py")
    return re.sub(r"[{}]", "", text)
