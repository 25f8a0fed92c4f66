from __future__ import annotations

import signal

import pytest

from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse.forks import Answer
from paperlora.pipeline.parse.outcome import Outcome, decode, encode, from_answer, from_error

CONFIG = CorpusConfig(timeout_seconds=7, memory_mib=300)
ACCEPTED = Outcome(pages=2, words=60, sketch=(1, 2))
DOCUMENT = b'{"paper": "a"}\n'


def reason(answer: Answer) -> str:
    outcome, document = from_answer(answer, CONFIG)
    assert document == b""
    assert not outcome.environment
    assert " → " in outcome.reason
    return outcome.reason


def test_an_answer_is_read_back() -> None:
    answer = encode(ACCEPTED) + DOCUMENT
    assert decode(answer) == (ACCEPTED, DOCUMENT)
    assert from_answer(Answer(code=0, output=answer), CONFIG) == (ACCEPTED, DOCUMENT)
    rejected = Outcome(reason="a scan → OCR it")
    assert from_answer(Answer(code=0, output=encode(rejected)), CONFIG) == (rejected, b"")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(code=-9, timed_out=True), "not read within 7 s → set corpus.timeout_seconds"),
        (Answer(code=-9, too_long=True), "longer than 8 MiB → split the PDF"),
        (Answer(code=-signal.SIGSEGV), "crashed with signal 11 → repair the PDF"),
        (Answer(code=-9), "lack of memory → set corpus.memory_mib higher (it is 300)"),
        (Answer(code=1), "without a result → repair the PDF"),
    ],
)
def test_each_end_without_an_answer_is_a_rejection(answer: Answer, words: str) -> None:
    assert words in reason(answer)


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"nonsense",
        b"{}\n",
        b"[]\n" + DOCUMENT,
        b'{"other": 1}\n' + DOCUMENT,
        b"[" * 100_000,
        b"\xff\xfe\n",
        encode(ACCEPTED),  # the document is missing
        (encode(ACCEPTED) + DOCUMENT)[:-1],  # it was cut
        encode(Outcome(reason="x")) + DOCUMENT,
    ],
)
def test_what_is_not_an_answer_is_a_rejection(output: bytes) -> None:
    assert "without a result" in reason(Answer(code=0, output=output))


def test_only_a_kill_by_the_system_is_not_kept() -> None:
    assert from_answer(Answer(code=-9), CONFIG)[0].passing
    for answer in (Answer(code=-11), Answer(code=-9, timed_out=True), Answer(code=0)):
        assert not from_answer(answer, CONFIG)[0].passing


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "needs more than 300 MiB of memory → set corpus.memory_mib"),
        (ImportError("lib.so: failed to map segment"), "needs more than 300 MiB"),
        (OSError("[Errno 12] Cannot allocate memory"), "needs more than 300 MiB"),
        # A PDF can choose the text of an error.
        (ValueError("ImportError:\nabsent"), "cannot be read: ValueError: ImportError: absent →"),
        (KeyError("x" * 9000), "cannot be read: KeyError: 'xxx"),
    ],
)
def test_an_error_is_one_line_with_a_remedy(error: Exception, words: str) -> None:
    outcome = from_error(error, CONFIG)
    assert words in outcome.reason
    assert "\n" not in outcome.reason
    assert len(outcome.reason) < 500
    assert not outcome.environment


def test_a_library_that_cannot_be_imported_is_about_the_environment() -> None:
    outcome = from_error(ModuleNotFoundError("No module named 'x'"), CONFIG)
    assert (outcome.environment, outcome.reason) == (
        True,
        "ModuleNotFoundError: No module named 'x'",
    )
