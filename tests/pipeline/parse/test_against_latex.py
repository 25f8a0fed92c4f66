"""The text of the papers that ship, against their LaTeX sources."""

from statistics import median

import judge
import latex
import pytest

from paperlora.files import ROOT, read_jsonl
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse import parse

PAPERS = ROOT / "src/paperlora/papers"


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    parse.command(PAPERS, run, known=[], config=CorpusConfig())
    texts = {
        row["paper"]: [part["text"] for part in row["paragraphs"]]
        for row in read_jsonl(run / "documents.jsonl")
    }
    return {
        source.stem: judge.score(latex.read(source), texts[source.stem])
        for source in sorted(PAPERS.glob("*.tex"))
    }


def test_words_are_those_of_the_source(scores):
    bag = {paper: score.bag_f1 for paper, score in scores.items()}
    assert median(bag.values()) >= 0.995, bag
    assert min(bag.values()) >= 0.990, bag
    ordered = {paper: score.ordered_f1 for paper, score in scores.items()}
    assert median(ordered.values()) >= 0.993, ordered


def test_few_words_are_lost(scores):
    lost = {paper: dict(score.lost) for paper, score in scores.items()}
    assert sum(score.lost.total() for score in scores.values()) <= 60, lost


def test_only_a_marked_formula_changes_a_sentence(scores):
    damaged = {
        (paper, judge.shown(verdict.sentence)): (verdict.result, verdict.found)
        for paper, score in scores.items()
        for verdict in score.damaged
    }
    assert damaged == {}
