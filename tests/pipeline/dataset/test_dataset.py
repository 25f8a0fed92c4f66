import json

import pytest
from made_up import document

from paperlora.errors import DataError
from paperlora.files import read_jsonl, write_jsonl
from paperlora.pipeline.config import DatasetConfig
from paperlora.pipeline.dataset import dataset
from paperlora.pipeline.text import TfIdf, words

CONFIG = DatasetConfig()
NONE = TfIdf.over([])


def rows(run):
    return {split: read_jsonl(run / "dataset" / f"{split}.jsonl") for split in dataset.SPLITS}


def test_no_paper_is_in_two_splits_and_none_is_lost(parsed_run, documents):
    dataset.build(parsed_run, CONFIG)
    summary = json.loads((parsed_run / "dataset" / "dataset.json").read_text())
    papers = [set(summary["papers"][split]) for split in dataset.SPLITS]
    assert set.union(*papers) == {entry["paper"] for entry in documents}
    assert sum(map(len, papers)) == len(documents)
    for split, examples in rows(parsed_run).items():
        assert {row["paper"] for row in examples} <= set(summary["papers"][split])
        assert len(examples) == summary["examples"][split] > 0


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(parsed_run):
    def digest(seed):
        dataset.build(parsed_run, CONFIG.model_copy(update={"seed": seed}))
        return [(parsed_run / "dataset" / f"{s}.jsonl").read_bytes() for s in dataset.SPLITS]

    first = digest(0)
    assert digest(0) == first
    assert any(digest(seed) != first for seed in (1, 2, 3))


def test_each_example_can_be_traced_to_its_place(parsed_run, documents):
    dataset.build(parsed_run, CONFIG)
    places = {
        (entry["paper"], paragraph["page"], paragraph["section"])
        for entry in documents
        for paragraph in entry["paragraphs"]
    }
    texts = {
        entry["paper"]: " ".join(p["text"] for p in entry["paragraphs"]) for entry in documents
    }
    for examples in rows(parsed_run).values():
        for row in examples:
            assert (row["paper"], row["page"], row["section"]) in places
            assert row["answer"] in texts[row["paper"]]
            assert f"On {row['paper']}" in row["prompt"]


def test_a_question_names_terms_that_only_its_answer_has(parsed_run):
    dataset.build(parsed_run, CONFIG)
    questions = [r for r in rows(parsed_run)["train"] if r["kind"] == "question"]
    assert questions
    for row in questions:
        passage = row["prompt"].split("\n")[1].lower()
        for term in row["prompt"].rsplit("about ", 1)[1].rstrip("?").lower().split(" and "):
            assert term in row["answer"].lower()
            assert passage.count(term) == row["answer"].lower().count(term)


def test_held_out_papers_come_from_different_fields(documents):
    papers = dataset.split_papers(documents, CONFIG.model_copy(update={"test_share": 0.34}))
    fields = {entry["paper"]: entry["field"] for entry in documents}
    assert len({fields[name] for name in papers["test"]}) == 2


def test_fewer_than_three_papers_are_refused(documents):
    with pytest.raises(DataError, match="at least three"):
        dataset.split_papers(documents[:2], CONFIG)
    papers = dataset.split_papers(documents[:3], CONFIG)
    assert [len(papers[split]) for split in dataset.SPLITS] == [1, 1, 1]


def test_a_copy_of_a_test_paper_is_kept_out_of_training(tmp_path):
    """The control: without the copy nothing is removed."""
    papers = [document(f"paper-{n}") for n in range(8)]
    held = dataset.split_papers(papers, CONFIG)["test"][0]
    run = tmp_path / "run"
    write_jsonl(run / "documents.jsonl", papers)
    dataset.build(run, CONFIG)
    clean = json.loads((run / "dataset" / "dataset.json").read_text())
    assert clean["near_duplicates_removed"] == 0

    train = clean["papers"]["train"][0]
    copied = next(entry for entry in papers if entry["paper"] == held)
    for entry in papers:
        if entry["paper"] == train:
            entry["paragraphs"] = [dict(p, page=9) for p in copied["paragraphs"]]
    write_jsonl(run / "documents.jsonl", papers)
    dataset.build(run, CONFIG)
    assert not any(row["paper"] == train for row in rows(run)["train"])
    assert any(row["paper"] == held for row in rows(run)["test"])


def test_passages_stay_within_a_section_and_their_limit(documents):
    found = list(dataset.passages(documents[0], 40))
    assert all(len(words(passage.text)) <= 40 for passage in found)
    joined = " ".join(passage.text for passage in found)
    assert joined == " ".join(p["text"] for p in documents[0]["paragraphs"])
    sections = [passage.section for passage in found]
    assert {"Abstract", "Introduction", "Method"} == set(sections)


def test_terms_are_rare_and_are_not_in_other_sentences():
    tfidf = TfIdf.over(["ice sheet", "ice age", "ice", "albedo"])

    def terms(sentence, others=""):
        return dataset.key_terms(sentence, others, tfidf)

    assert terms("The ice albedo of it.") == ["ice albedo"]
    assert terms("The ice albedo of it.", others="More ice albedo.") == []
    assert terms("The ice albedo of a frozen lake.") == ["ice albedo", "frozen lake"]
    assert terms("The ice albedo of a frozen lake.", others="A frozen lake.") == ["ice albedo"]
    assert terms("It is so.") == []
    # no comma inside a term
    assert terms("Warm, wet winters follow here.") == ["Warm", "wet winters"]


@pytest.mark.parametrize(
    ("sentence", "whole"),
    [
        ("The learning rate falls to zero over the whole of the run.", True),
        ("the learning rate falls to zero over the whole of the run.", False),
        ("The learning rate falls to zero over the whole of the run", False),
        ("Table 3 4.5 6.1 7.2 8 9 10 11 12 13 14 15 rows.", False),
        ("Too short.", False),
        ("Word " * 70 + "end.", False),
        ("The learning rate falls to [formula] over the whole of the run.", False),
        ("The learning rate falls to the \ufffd over the whole of the run.", False),
    ],
)
def test_only_whole_sentences_of_words_become_answers(sentence, whole):
    config = DatasetConfig(answer_words=60)
    assert dataset._can_answer(sentence, config) is whole


def test_formulas_may_be_kept():
    sentence = "The learning rate falls to [formula] over the whole of the run."
    assert dataset._can_answer(sentence, DatasetConfig(formulas="keep"))


def test_papers_without_running_text_are_refused(tmp_path):
    empty = [document(f"paper-{n}", paragraphs=0) for n in range(4)]
    write_jsonl(tmp_path / "documents.jsonl", empty)
    with pytest.raises(DataError, match="no usable passage"):
        dataset.build(tmp_path, CONFIG)
