"""Make examples from documents, split by paper so that no test paper is used for training.

A passage of a paper gives two kinds of example:

- ``question``: the passage, then "What does the passage say about TERM and TERM?"; the answer is
  the only sentence of the passage that has the terms.
- ``continuation``: the first part of the passage; the answer is the text that follows it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from paperlora.errors import DataError
from paperlora.files import read_jsonl, sha256_json, write_json, write_jsonl
from paperlora.pipeline.text import FORMULA, STOP_WORDS, UNKNOWN, TfIdf, sentences, words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paperlora.pipeline.config import DatasetConfig

SPLITS = ("train", "validation", "test")
QUESTIONS_PER_PASSAGE = 2
SENTENCES_TO_ASK = 3  # in a shorter passage, there is too little to choose the answer from
_TERM = re.compile(r"[A-Za-z][a-z]{2,}(?:-[a-z]+)*")
_PLAIN_WORD = re.compile(r"[(“\"]?[A-Za-z’'-]{2,}[.,;:?!)”\"]*")
_SEQUENCE = 5  # consecutive words; texts with many such sequences in common are near duplicates

Example = dict[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Passage:
    """Consecutive sentences of one section."""

    paper: str
    title: str
    section: str
    page: int
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The passage on one line."""
        return " ".join(self.sentences)


def build(run: Path, config: DatasetConfig) -> None:
    """Read ``documents.jsonl`` of a run and write the files of ``dataset/``.

    Raises ``DataError`` when there are too few papers to split, or a split has no question.
    """
    documents = read_jsonl(run / "documents.jsonl")
    papers = split_papers(documents, config)
    tfidf = TfIdf.over(
        paragraph["text"] for document in documents for paragraph in document["paragraphs"]
    )
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for document in documents:
        split = next(split for split in SPLITS if document["paper"] in papers[split])
        splits[split].extend(examples(document, tfidf, config))
    removed = remove_near_duplicates(splits, config.duplicate_overlap)
    # Only after that: a split whose examples are all duplicates cannot be used either.
    for split in SPLITS:
        if not any(example["kind"] == "question" for example in splits[split]):
            raise DataError(
                f"no usable passage in the {split} papers ({', '.join(papers[split])})",
                remedy="add papers with more prose",
            )
    for split in SPLITS:
        write_jsonl(run / "dataset" / f"{split}.jsonl", splits[split])
    write_json(
        run / "dataset" / "dataset.json",
        {
            "digest": sha256_json(splits),
            "seed": config.seed,
            "papers": papers,
            "examples": {split: len(splits[split]) for split in SPLITS},
            "near_duplicates_removed": removed,
        },
    )


def split_papers(documents: list[Document], config: DatasetConfig) -> dict[str, list[str]]:
    """Return split → its papers; the held-out papers come from different fields where these are known.

    Raises ``DataError`` for fewer than three papers, because each split needs one.
    """
    if len(documents) < len(SPLITS):
        raise DataError(
            f"{len(documents)} usable papers cannot be split by paper",
            remedy="give at least three: one each for training, validation and test",
        )
    rng = random.Random(config.seed)
    fields: dict[str, list[str]] = {}
    for document in documents:
        fields.setdefault(document["field"], []).append(document["paper"])
    # One paper of each field in turn: the first ones of this order are held out.
    groups = [fields[name] for name in sorted(fields)]
    rng.shuffle(groups)
    for group in groups:
        rng.shuffle(group)
    order = [group.pop() for _ in documents for group in groups if group]
    test = max(1, round(len(order) * config.test_share))
    validation = max(1, round(len(order) * config.validation_share))
    return {
        "train": sorted(order[test + validation :]),
        "validation": sorted(order[test : test + validation]),
        "test": sorted(order[:test]),
    }


def passages(document: Document, limit: int) -> Iterator[Passage]:
    """Yield passages of at most ``limit`` words, each from one section (a longer sentence stays whole)."""
    held: list[str] = []
    section, page, count = "", 0, 0

    def passage() -> Passage:
        return Passage(
            paper=document["paper"],
            title=document["title"],
            section=section,
            page=page,
            sentences=tuple(held),
        )

    for paragraph in document["paragraphs"]:
        for sentence in sentences(paragraph["text"]):
            size = len(words(sentence))
            if held and (paragraph["section"] != section or count + size > limit):
                yield passage()
                held, count = [], 0
            if not held:
                section, page = paragraph["section"], paragraph["page"]
            held.append(sentence)
            count += size
    if held:
        yield passage()


def examples(document: Document, tfidf: TfIdf, config: DatasetConfig) -> Iterator[Example]:
    """Yield the examples of one document, in reading order."""
    number = 0
    for passage in passages(document, config.passage_words):
        # Seeded by the text, so that a change in one passage changes no question about another.
        rng = random.Random(f"{config.seed}:{passage.text}")
        for kind, prompt, answer in (
            *islice(_questions(passage, tfidf, rng, config), QUESTIONS_PER_PASSAGE),
            *_continuation(passage, config),
        ):
            number += 1
            yield {
                "id": f"{passage.paper}:{number:04d}",
                "kind": kind,
                "paper": passage.paper,
                "page": passage.page,
                "section": passage.section,
                "lead": passage.sentences[0],
                "prompt": prompt,
                "answer": answer,
            }


def question_prompt(passage: Passage, question: str) -> str:
    """Return the prompt for a question about a passage, in training and in inference."""
    return f"{_source(passage)}\n{passage.text}\n\n{question}"


def _source(passage: Passage) -> str:
    section = f", section “{passage.section}”" if passage.section else ""
    return f"Passage from “{passage.title}”{section}:"


def _questions(
    passage: Passage, tfidf: TfIdf, rng: random.Random, config: DatasetConfig
) -> Iterator[tuple[str, str, str]]:
    """Yield kind, prompt and answer of each question about a passage."""
    if len(passage.sentences) < SENTENCES_TO_ASK:
        return
    places = [i for i, sentence in enumerate(passage.sentences) if _can_answer(sentence, config)]
    rng.shuffle(places)
    for place in places:
        others = " ".join((*passage.sentences[:place], *passage.sentences[place + 1 :]))
        terms = key_terms(passage.sentences[place], others, tfidf)
        if terms:
            question = f"What does the passage say about {' and '.join(terms)}?"
            yield "question", question_prompt(passage, question), passage.sentences[place]


def _continuation(passage: Passage, config: DatasetConfig) -> Iterator[tuple[str, str, str]]:
    """Yield kind, prompt and answer when the second half of the passage begins with whole sentences."""
    cut = (len(passage.sentences) + 1) // 2
    answer: list[str] = []
    for sentence in passage.sentences[cut:]:
        if (
            not _can_answer(sentence, config)
            or sum(len(words(part)) for part in answer) > config.answer_words // 2
        ):
            break
        answer.append(sentence)
    if answer:
        start = " ".join(passage.sentences[:cut])
        prompt = f"{_source(passage)}\n{start}\n\nHow does it go on?"
        yield "continuation", prompt, " ".join(answer)


def key_terms(sentence: str, others: str, tfidf: TfIdf) -> list[str]:
    """Return up to two terms of ``sentence``, of one to three words, that ``others`` does not have.

    They are the terms whose words are rarest in the collection (by mean inverse document frequency).
    Two words are preferred to three, and three to one, because a single word is often ambiguous.
    """
    elsewhere = f" {' '.join(words(others))} "
    tokens = sentence.split()
    found: list[tuple[float, int, int, str]] = []
    for size, preference in ((1, 0.6), (2, 1.0), (3, 0.9)):
        for start in range(len(tokens) - size + 1):
            # Punctuation after the term is removed; a term with punctuation inside does not match.
            term = " ".join(tokens[start : start + size]).rstrip(".,;:?!")
            parts = term.split(" ")
            if f" {' '.join(words(term))} " in elsewhere or not all(
                _TERM.fullmatch(part) and part.lower() not in STOP_WORDS for part in parts
            ):
                continue
            rarity = sum(tfidf.idf(part.lower()) for part in parts) / size
            found.append((-preference * rarity, start, start + size, term))
    found.sort()
    # The second term must not overlap the first one.
    apart = [item for item in found[1:] if item[1] >= found[0][2] or item[2] <= found[0][1]]
    chosen = sorted(found[:1] + apart[:1], key=lambda item: item[1])
    return [term for _, _, _, term in chosen]


def _can_answer(sentence: str, config: DatasetConfig) -> bool:
    """Return whether a sentence is whole and mostly words, not part of a formula, table or heading.

    One with a mark for a formula or for an unknown glyph has a hole; ``formulas = "keep"`` takes the
    former all the same.
    """
    if UNKNOWN in sentence or (FORMULA in sentence and config.formulas == "skip"):
        return False
    tokens = sentence.split()
    return (
        8 <= len(words(sentence)) <= config.answer_words
        and sentence[0].isupper()
        and sentence[-1] in ".!?"
        and sum(bool(_PLAIN_WORD.fullmatch(token)) for token in tokens) >= 0.7 * len(tokens)
    )


def remove_near_duplicates(splits: dict[str, list[Example]], limit: float) -> int:
    """Remove examples that are nearly the same as held-out ones; return the number removed.

    An example is removed when more than the share ``limit`` of its sequences of five words occurs in
    validation or test (for training), or in test (for validation).
    """
    removed = 0
    held: set[tuple[str, ...]] = set()
    for split in reversed(SPLITS):  # test first, because it stays complete
        pairs = [(example, _sequences(example)) for example in splits[split]]
        kept = [(one, own) for one, own in pairs if not own or len(own & held) / len(own) <= limit]
        removed += len(pairs) - len(kept)
        splits[split] = [example for example, _ in kept]
        held.update(*(own for _, own in kept))
    return removed


def _sequences(example: Example) -> set[tuple[str, ...]]:
    # Without the first line (paper and section) and the last one (the question): only the text of
    # the paper counts.
    tokens = words(" ".join([*example["prompt"].split("\n")[1:-1], example["answer"]]))
    starts = range(len(tokens) - _SEQUENCE + 1)
    return {tuple(tokens[start : start + _SEQUENCE]) for start in starts}
