"""The result for one paper: accepted, or rejected with a reason.

A child encodes it; the parent decodes it, or makes it from the way in which the child ended.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from paperlora.files import json_line
from paperlora.pipeline.parse.forks import Limits

if TYPE_CHECKING:
    from paperlora.pipeline.config import CorpusConfig
    from paperlora.pipeline.parse.forks import Answer

_OUTPUT_BYTES = 8 << 20  # a book of 1,000 pages has 3 MB of text
_REPAIR = "repair the PDF, for example with `qpdf IN.pdf OUT.pdf`"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the parent keeps of a paper in memory: small, however long the paper is."""

    reason: str = ""
    """Why the paper is rejected, with the remedy; empty when it is accepted."""
    pages: int = 0
    words: int = 0
    sketch: tuple[int, ...] = ()
    """A sample of the text for the comparison with other papers (``duplicates``)."""
    environment: bool = False
    """Whether the reason is a library that cannot be imported, and not the paper."""
    passing: bool = False
    """Whether the reason may be the state of the machine: the next run reads the paper again."""


def encode(outcome: Outcome) -> bytes:
    """Return the outcome as one line of JSON; a child's answer is this and the document's line."""
    return json_line(asdict(outcome))


def decode(answer: bytes) -> tuple[Outcome, bytes]:
    """Return the outcome and the document's line of an answer; raises ``ValueError``."""
    head, _, document = answer.partition(b"\n")
    try:
        outcome = Outcome(**json.loads(head))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if bool(outcome.reason) == document.endswith(b"\n"):
        raise ValueError("a document and a reason for a rejection, or neither")
    return replace(outcome, sketch=tuple(outcome.sketch)), document


def limits(config: CorpusConfig) -> Limits:
    """Return what a child may use for one paper."""
    return Limits(
        seconds=config.timeout_seconds,
        memory_bytes=config.memory_mib << 20,
        output_bytes=_OUTPUT_BYTES,
    )


def from_answer(answer: Answer, config: CorpusConfig) -> tuple[Outcome, bytes]:
    """Return the outcome and the document's line; each way for a child to fail is a rejection."""
    memory = f"set corpus.memory_mib higher (it is {config.memory_mib})"
    if answer.timed_out:
        time = f"set corpus.timeout_seconds higher, or {_REPAIR}"
        return Outcome(reason=f"not read within {config.timeout_seconds:g} s → {time}"), b""
    if answer.too_long:
        longest = _OUTPUT_BYTES >> 20
        return Outcome(reason=f"its text is longer than {longest} MiB → split the PDF"), b""
    if answer.code == -9:
        reason = (
            f"the system killed its reader, perhaps for lack of memory → {memory}, or run again"
        )
        return Outcome(reason=reason, passing=True), b""
    if answer.code < 0:
        reason = f"its reader crashed with signal {-answer.code} → {_REPAIR}, or {memory}"
        return Outcome(reason=reason), b""
    try:
        found, document = decode(answer.output)
    except ValueError:
        return Outcome(reason=f"its reader ended without a result → {_REPAIR}, or {memory}"), b""
    return found, document


def from_error(error: Exception, config: CorpusConfig) -> Outcome:
    """Return the outcome for an error in the child that is not a ``RejectedError``."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]  # a PDF may choose the text
    # The loader of shared libraries has its own words for too little memory.
    short = "failed to map segment" in text or "Cannot allocate memory" in text
    if short or isinstance(error, MemoryError):
        reason = f"needs more than {config.memory_mib} MiB of memory → set corpus.memory_mib higher"
        return Outcome(reason=reason)
    if isinstance(error, ImportError):
        return Outcome(reason=text, environment=True, passing=True)
    return Outcome(reason=f"cannot be read: {text} → {_REPAIR}")
