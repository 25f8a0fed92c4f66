"""From documents to examples, split by paper so that no test paper is ever trained on.

Two kinds of example come from each passage of a paper:

- ``question``: the passage, then "What does the passage say about TERM and TERM?"; the answer is
  the sentence of the passage that holds the terms (and no other sentence does).
- ``continuation``: the first part of the passage; the answer is how the paper goes on.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paperlora.errors import DataError
from paperlora.files import read_jsonl, sha256_json, write_json, write_jsonl
from paperlora.pipeline.text import STOP_WORDS, TfIdf, sentences, words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paperlora.pipeline.config import DatasetConfig

SPLITS = ("train", "validation", "test")
QUESTIONS_PER_PASSAGE = 2
SENTENCES_TO_ASK = 3
_TERM = re.compile(r"[A-Za-z][a-z]{2,}(?:-[a-z]+)*")
_RUN = 5  # words in a row that two texts must share to count as common

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
        """The passage as one line."""
        return " ".join(self.sentences)


def build(run: Path, config: DatasetConfig) -> None:
    """Read ``documents.jsonl`` of a run and write ``dataset/``.

    Raises ``DataError`` when there are too few papers to split, or a split has no example.
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
    for split in SPLITS:
        if not any(example["kind"] == "question" for example in splits[split]):
            raise DataError(
                f"no usable passage in the {split} papers ({', '.join(papers[split])})",
                remedy="add papers with more running text",
            )
    folder = run / "dataset"
    for split in SPLITS:
        write_jsonl(folder / f"{split}.jsonl", splits[split])
    write_json(
        folder / "dataset.json",
        {
            "digest": sha256_json(splits),
            "seed": config.seed,
            "papers": papers,
            "examples": {split: len(splits[split]) for split in SPLITS},
            "near_duplicates_removed": removed,
        },
    )


def split_papers(documents: list[Document], config: DatasetConfig) -> dict[str, list[str]]:
    """Deal the papers to the splits, held-out ones from different fields where the fields are known.

    Raises ``DataError`` for fewer than three papers: each split needs one of its own.
    """
    if len(documents) < len(SPLITS):
        raise DataError(
            f"{len(documents)} usable papers cannot be split by paper",
            remedy="give at least three: one each to train, validate and test on",
        )
    rng = random.Random(config.seed)
    fields: dict[str, list[str]] = {}
    for document in documents:
        fields.setdefault(document["field"], []).append(document["paper"])
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
    """Cut a document into passages of at most ``limit`` words, never across two sections."""
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
        rng = random.Random(f"{config.seed}:{passage.text}")
        for kind, prompt, answer in (
            *_questions(passage, tfidf, rng, config.answer_words),
            *_continuation(passage, config.answer_words),
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


def question_prompt(title: str, section: str, passage: str, question: str) -> str:
    """Return the prompt that puts ``question`` to a passage; training and inference share it."""
    return f"{_source(title, section)}\n{passage}\n\n{question}"


def _source(title: str, section: str) -> str:
    return f"Passage from “{title}”" + (f", section “{section}”:" if section else ":")


def _questions(
    passage: Passage, tfidf: TfIdf, rng: random.Random, limit: int
) -> Iterator[tuple[str, str, str]]:
    """Yield questions about sentences of a passage that has enough of them to choose from."""
    if len(passage.sentences) < SENTENCES_TO_ASK:
        return
    places = [index for index, sentence in enumerate(passage.sentences) if _prose(sentence, limit)]
    rng.shuffle(places)
    asked = 0
    for place in places:
        others = " ".join(
            sentence for index, sentence in enumerate(passage.sentences) if index != place
        )
        terms = key_terms(passage.sentences[place], others, tfidf)
        if terms:
            question = f"What does the passage say about {' and '.join(terms)}?"
            yield (
                "question",
                question_prompt(passage.title, passage.section, passage.text, question),
                passage.sentences[place],
            )
            asked += 1
        if asked == QUESTIONS_PER_PASSAGE:
            return


def _continuation(passage: Passage, limit: int) -> Iterator[tuple[str, str, str]]:
    """Yield the passage cut in two, when its second half reads as prose."""
    cut = (len(passage.sentences) + 1) // 2
    answer: list[str] = []
    for sentence in passage.sentences[cut:]:
        if not _prose(sentence, limit) or sum(len(words(part)) for part in answer) > limit // 2:
            break
        answer.append(sentence)
    if answer:
        start = " ".join(passage.sentences[:cut])
        prompt = f"{_source(passage.title, passage.section)}\n{start}\n\nHow does it go on?"
        yield "continuation", prompt, " ".join(answer)


def key_terms(sentence: str, others: str, tfidf: TfIdf) -> list[str]:
    """Return up to two telling runs of one to three words that ``others`` does not hold.

    Telling means rare in the collection (a high mean inverse document frequency). Two words are
    preferred to three, and three to one, since a lone word is often ambiguous.
    """
    elsewhere = f" {' '.join(words(others))} "
    tokens = sentence.split()
    found: list[tuple[float, int, int, str]] = []
    for size, preference in ((1, 0.6), (2, 1.0), (3, 0.9)):
        for start in range(len(tokens) - size + 1):
            # Punctuation may end the term, but not stand inside it.
            term = " ".join(tokens[start : start + size]).rstrip(".,;:?!")
            parts = term.split(" ")
            if f" {' '.join(words(term))} " in elsewhere or not all(
                _TERM.fullmatch(part) and part.lower() not in STOP_WORDS for part in parts
            ):
                continue
            rarity = sum(tfidf.idf(part.lower()) for part in parts) / size
            found.append((-preference * rarity, start, start + size, term))
    found.sort()
    apart = [item for item in found[1:] if item[1] >= found[0][2] or item[2] <= found[0][1]]
    chosen = sorted(found[:1] + apart[:1], key=lambda item: item[1])
    return [term for _, _, _, term in chosen]


def _prose(sentence: str, limit: int) -> bool:
    """Say whether a sentence is whole and mostly words: no debris of a formula, table or heading."""
    tokens = sentence.split()
    plain = sum(
        bool(re.fullmatch(r"[(“\"]?[A-Za-z’'-]{2,}[.,;:?!)”\"]*", token)) for token in tokens
    )
    return (
        8 <= len(words(sentence)) <= limit
        and sentence[0].isupper()
        and sentence[-1] in ".!?"
        and plain >= 0.7 * len(tokens)
    )


def remove_near_duplicates(splits: dict[str, list[Example]], limit: float) -> int:
    """Drop from each split what largely stands in a split that is held out from it; return how many.

    An example goes when more than ``limit`` of its runs of five words occur in validation or test
    (for training), or in test (for validation).
    """
    removed = 0
    held: set[tuple[str, ...]] = set()
    for split in reversed(SPLITS):
        kept = [example for example in splits[split] if _common(example, held) <= limit]
        removed += len(splits[split]) - len(kept)
        splits[split] = kept
        held |= set().union(*(_runs(example) for example in kept))
    return removed


def _runs(example: Example) -> set[tuple[str, ...]]:
    # The first line names the paper and section, the last asks: only the paper's own text counts.
    text = " ".join(example["prompt"].split("\n")[1:-1]) + " " + example["answer"]
    tokens = words(text)
    return {tuple(tokens[start : start + _RUN]) for start in range(len(tokens) - _RUN + 1)}


def _common(example: Example, held: set[tuple[str, ...]]) -> float:
    runs = _runs(example)
    return len(runs & held) / len(runs) if runs else 0.0
