import math

import pytest
from made_up import ENVIRONMENT, tiny_config

from paperlora.files import read_json, read_jsonl
from paperlora.pipeline.config import EvalConfig
from paperlora.pipeline.dataset.dataset import SPLITS
from paperlora.pipeline.evaluate import evaluate
from paperlora.pipeline.text import TfIdf


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    import shutil

    run = shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "run")
    evaluate.evaluate(run, tiny_config(), environment=ENVIRONMENT, device="cpu")
    return run


def test_every_split_is_scored_for_both_models(evaluated):
    result = read_json(evaluated / "eval.json")
    for name in ("base", "tuned"):
        for split in SPLITS:
            scores = result[name][split]
            assert scores["n"] == 2
            low, high = scores["accuracy_ci95"]
            assert 0 <= low <= scores["accuracy"] <= high <= 1
            assert 1 < scores["perplexity"] < 1000
    rows = read_jsonl(evaluated / "predictions.jsonl")
    assert len(rows) == 6
    assert all(row["reference"] and "base" in row and "tuned" in row for row in rows)


def test_training_lowered_the_perplexity_of_what_it_saw(evaluated):
    result = read_json(evaluated / "eval.json")
    assert result["tuned"]["train"]["perplexity"] < result["base"]["train"]["perplexity"]


def test_the_base_model_is_the_one_without_adapter(evaluated, trained):
    """Its perplexity follows from the validation loss before the first step, on the same examples."""
    from paperlora.pipeline.model import encoding, load, store

    config = tiny_config()
    base = load.load(store.obtain(config.model.id), config.model, load.device("cpu"))
    chosen = evaluate.choose(read_jsonl(trained / "dataset" / "test.jsonl"), config.eval)
    nats = tokens = 0
    for row in chosen["question"] + chosen["continuation"]:
        encoded = encoding.encode(base.tokenizer, row["prompt"], row["answer"], 256)
        nats += encoding.answer_loss(base.model, encoded, base.device).item()
        tokens += len(encoded.answer)
    expected = read_json(evaluated / "eval.json")["base"]["test"]["perplexity"]
    assert math.exp(nats / tokens) == pytest.approx(expected, rel=1e-5)


def test_scoring_twice_gives_the_same_bytes(evaluated):
    before = (evaluated / "eval.json").read_bytes()
    evaluate.evaluate(evaluated, tiny_config(), environment=ENVIRONMENT, device="cpu")
    assert (evaluated / "eval.json").read_bytes() == before


def test_the_draw_follows_the_seed_and_never_exceeds_what_there_is(prepared):
    rows = read_jsonl(prepared / "dataset" / "train.jsonl")
    config = EvalConfig(questions=3, passages=10**6)
    chosen = evaluate.choose(rows, config)
    assert len(chosen["question"]) == 3
    assert len(chosen["continuation"]) == sum(row["kind"] == "continuation" for row in rows)
    assert evaluate.choose(rows, config) == chosen
    others = [evaluate.choose(rows, EvalConfig(questions=3, seed=seed)) for seed in (1, 2, 3)]
    assert any(other["question"] != chosen["question"] for other in others)


def test_controls_do_not_know_the_question():
    rows = [
        {"tuned": f"answer {word}", "lead": f"first {word[::-1]}", "reference": f"answer {word}"}
        for word in ("glacier", "camera", "dosage")
    ]
    tfidf = TfIdf.over(["answer", "answer glacier", "answer camera", "answer dosage"])
    found = evaluate.controls(rows, tfidf, threshold=0.9)
    assert found["shuffled"]["accuracy"] == 0
    assert 0 < found["shuffled"]["score_mean"] < 0.9
    assert found["lead"]["score_mean"] == 0
    # nothing about another passage: no such control, rather than the answer itself
    alone = evaluate.controls(rows[:1], tfidf, threshold=0.9)
    assert alone["shuffled"]["n"] == 0
    # where every reference is the same, a shuffled answer is right: the control can be high
    same = [row | {"reference": "answer x", "tuned": "answer x"} for row in rows]
    assert evaluate.controls(same, tfidf, threshold=0.9)["shuffled"]["accuracy"] == 1
