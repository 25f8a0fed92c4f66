"""Ask the tuned adapter: find the passage that fits a question, and stream the answer to it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transformers import TextStreamer

from paperlora.errors import InputError
from paperlora.files import read_jsonl
from paperlora.pipeline.dataset.dataset import Passage, passages, question_prompt
from paperlora.pipeline.evaluate.evaluate import generate, load_tuned
from paperlora.pipeline.text import TfIdf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paperlora.pipeline.config import InferSections
    from paperlora.pipeline.model.load import Loaded


@dataclass(frozen=True, kw_only=True)
class Session:
    """A tuned model that is ready to answer about the papers of its run."""

    config: InferSections
    loaded: Loaded
    tuned: Any
    passages: list[Passage]
    tfidf: TfIdf


def start(run: Path, config: InferSections, *, device: str = "auto") -> Session:
    """Load the adapter of ``run`` and the passages of its papers.

    Raises ``DataError`` when the base model is not the one that the adapter was trained on.
    """
    found = [
        passage
        for document in read_jsonl(run / "documents.jsonl")
        for passage in passages(document, config.dataset.passage_words)
    ]
    # nothing is drawn at random, so any seed will do
    loaded, tuned = load_tuned(run, config.model, device=device, seed=0)
    return Session(
        config=config,
        loaded=loaded,
        tuned=tuned,
        passages=found,
        tfidf=TfIdf.over(passage.text for passage in found),
    )


def answer(session: Session, question: str, *, max_new_tokens: int, context: bool = True) -> None:
    """Print the answer to ``question`` as it is made, and on stderr the passage it was given."""
    prompt = question
    passage = best_passage(session, question) if context else None
    if passage:
        section = f", {passage.section}" if passage.section else ""
        print(f"[from {passage.title}, page {passage.page}{section}]", file=sys.stderr)
        prompt = question_prompt(passage, question)
    tokenizer = session.loaded.tokenizer
    generate(
        session.loaded,
        session.tuned,
        [prompt],
        max_length=session.config.model.max_length,
        max_new_tokens=max_new_tokens,
        streamer=TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True),
    )


def best_passage(session: Session, question: str) -> Passage | None:
    """Return the passage most similar to ``question`` by TF-IDF, or None where none shares a word."""
    scores = [session.tfidf.similarity(question, passage.text) for passage in session.passages]
    best = max(scores, default=0.0)
    return session.passages[scores.index(best)] if best > 0 else None


def questions(given: list[str]) -> Iterator[str]:
    """Yield the questions of the command line, or those of stdin, one a line.

    On a terminal there is a prompt and an empty line ends; empty lines of a file are skipped.
    """
    if given:
        question = " ".join(given).strip()
        if not question:
            raise InputError("the question is empty", remedy="put it after the options, in quotes")
        yield question
        return
    terminal = sys.stdin.isatty()
    while True:
        if terminal:
            print("question (empty to end): ", end="", file=sys.stderr, flush=True)
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError:
            raise InputError(
                "standard input is not UTF-8 text", remedy="convert it, for example with iconv"
            ) from None
        if not line or (terminal and not line.strip()):
            return
        if line.strip():
            yield line.strip()
