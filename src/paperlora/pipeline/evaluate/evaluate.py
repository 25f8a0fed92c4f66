"""Score base and tuned model on every split: answers, perplexity, and controls beside them."""

from __future__ import annotations

import itertools
import math
import random
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from paperlora.files import read_json, read_jsonl, write_json, write_jsonl
from paperlora.pipeline.dataset.dataset import SPLITS
from paperlora.pipeline.evaluate import metric
from paperlora.pipeline.model import adapter, encoding, load, store
from paperlora.pipeline.text import TfIdf

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from transformers import TextStreamer

    from paperlora.pipeline.config import EvalConfig, EvalSections, ModelConfig
    from paperlora.pipeline.dataset.dataset import Example
    from paperlora.pipeline.model.load import Loaded

    Chosen = dict[str, dict[str, list[Example]]]  # split → kind → examples
    Model = Any  # peft carries no types

METRIC = {
    "name": "mixed relevance/overlap accuracy",
    "relevance": "cosine of TF-IDF vectors, inverse document frequencies over the training answers",
    "overlap": "ROUGE-L F1 over words",
    "score": "mean of relevance and overlap",
    "accuracy": "share of questions whose score reaches the threshold",
    "interval": "Wilson 95 %; questions of one paper are not independent, so it is a lower bound "
    "on the uncertainty about other papers",
    "perplexity": "exp of the mean cross-entropy over the tokens of all answers, questions and "
    "continuations",
}
_MODELS = ("base", "tuned")


def evaluate(
    run: Path, config: EvalSections, *, environment: dict[str, Any], device: str = "auto"
) -> None:
    """Score ``run``'s adapter against its base and write ``predictions.jsonl`` and ``eval.json``.

    ``environment`` is the record of this environment.
    """
    loaded, tuned = load_tuned(run, config.model, device=device, seed=config.eval.seed)
    chosen = {
        split: choose(read_jsonl(run / "dataset" / f"{split}.jsonl"), config.eval)
        for split in SPLITS
    }
    tfidf = TfIdf.over(row["answer"] for row in read_jsonl(run / "dataset" / "train.jsonl"))
    rows = _answers(loaded, tuned, chosen, config)
    for row in rows:
        for name in _MODELS:
            score = metric.score(row[name], row["reference"], tfidf)
            score["mixed"] = metric.mixed(score)
            row[f"{name}_score"] = {part: round(value, 6) for part, value in score.items()}
    perplexities = _perplexities(loaded, tuned, chosen, config)
    write_jsonl(run / "predictions.jsonl", rows)
    summary = _summary(rows, perplexities, tfidf, config.eval)
    about = {"environment": environment, "device": load.device_name(loaded.device)}
    write_json(run / "eval.json", {**summary, **about})


def load_tuned(run: Path, config: ModelConfig, *, device: str, seed: int) -> tuple[Loaded, Model]:
    """Return the base model of ``run``'s adapter, and the base model with the adapter.

    Raises ``DataError`` when the base model is not the one that the adapter was trained on.
    """
    where = load.device(device)
    trained_on = read_json(run / "train.json")["model"]["revision_or_sha256"]
    files = store.obtain(config.id, revision=trained_on)
    load.prepare(seed)
    loaded = load.load(files, config, where)
    return loaded, adapter.load_adapter(loaded, run / "adapter")


def choose(examples: list[Example], config: EvalConfig) -> dict[str, list[Example]]:
    """Return kind → the examples of a split that are scored, drawn by the seed."""
    rng = random.Random(config.seed)
    chosen = {}
    for kind, size in (("question", config.questions), ("continuation", config.passages)):
        rows = [row for row in examples if row["kind"] == kind]
        drawn = rng.sample(rows, min(size, len(rows)))
        chosen[kind] = sorted(drawn, key=lambda row: str(row["id"]))
    return chosen


def generate(
    loaded: Loaded,
    tuned: Model,
    prompts: list[str],
    *,
    max_length: int,
    max_new_tokens: int,
    streamer: TextStreamer | None = None,
) -> list[str]:
    """Answer a batch of prompts by greedy decoding; a ``streamer`` prints a single answer."""
    encoded = [
        encoding.encode(loaded.tokenizer, prompt, "", max_length).prompt for prompt in prompts
    ]
    width = max(len(ids) for ids in encoded)
    pad = loaded.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in encoded], device=loaded.device)
    mask = torch.tensor(
        [[0] * (width - len(row)) + [1] * len(row) for row in encoded], device=loaded.device
    )
    with torch.inference_mode():
        output = tuned.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=pad,
            eos_token_id=_end_tokens(loaded),
            streamer=streamer,
        )
    return [
        str(text).strip()
        for text in loaded.tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
    ]


def _end_tokens(loaded: Loaded) -> list[int]:
    """Return the tokens that end an answer: the model's own, and the one that training ends with."""
    own = loaded.model.generation_config.eos_token_id
    ids = own if isinstance(own, list) else [own]
    turn = encoding.encode(loaded.tokenizer, "?", "", 64).answer[-1:]
    return sorted({*(token for token in ids if token is not None), *turn})


def _without(tuned: Model, name: str) -> AbstractContextManager[None]:
    """Return a context in which the base model answers, or the tuned one."""
    return tuned.disable_adapter() if name == "base" else nullcontext()


def _answers(
    loaded: Loaded, tuned: Model, chosen: Chosen, config: EvalSections
) -> list[dict[str, Any]]:
    """Return one row per question, with the answer of each model."""
    rows = [
        {
            "split": split,
            **{key: example[key] for key in ("id", "paper", "page", "section", "lead", "prompt")},
            "reference": example["answer"],
        }
        for split in SPLITS
        for example in chosen[split]["question"]
    ]
    # Prompts of like length share a batch, so that little of it is padding.
    order = sorted(range(len(rows)), key=lambda index: (len(rows[index]["prompt"]), index))
    with tqdm(total=len(rows) * 2, desc="answer", unit="question", disable=None) as bar:
        for name in _MODELS:
            with _without(tuned, name):
                for start in range(0, len(order), config.eval.batch):
                    batch = order[start : start + config.eval.batch]
                    answers = generate(
                        loaded,
                        tuned,
                        [rows[index]["prompt"] for index in batch],
                        max_length=config.model.max_length,
                        max_new_tokens=config.eval.max_new_tokens,
                    )
                    for index, answer in zip(batch, answers, strict=True):
                        rows[index][name] = answer
                    bar.update(len(batch))
            if bar.disable:
                print(f"answered {len(rows)} questions with the {name} model", file=sys.stderr)
    return rows


def _perplexities(
    loaded: Loaded, tuned: Model, chosen: Chosen, config: EvalSections
) -> dict[str, dict[str, float]]:
    """Return model → split → perplexity of the reference answers."""
    scored = {
        split: list(itertools.chain.from_iterable(kinds.values()))
        for split, kinds in chosen.items()
    }
    total = len(_MODELS) * sum(map(len, scored.values()))
    result: dict[str, dict[str, float]] = {name: {} for name in _MODELS}
    with tqdm(total=total, desc="perplexity", unit="answer", disable=None) as bar:
        for name in _MODELS:
            for split, examples in scored.items():
                nats, tokens = 0.0, 0
                for row in examples:
                    encoded = encoding.encode(
                        loaded.tokenizer, row["prompt"], row["answer"], config.model.max_length
                    )
                    with torch.inference_mode(), _without(tuned, name):
                        nats += encoding.answer_loss(tuned, encoded, loaded.device).item()
                    tokens += len(encoded.answer)
                    bar.update()
                result[name][split] = round(math.exp(nats / tokens), 4)
    return result


def _summary(
    rows: list[dict[str, Any]],
    perplexities: dict[str, dict[str, float]],
    tfidf: TfIdf,
    config: EvalConfig,
) -> dict[str, Any]:
    by_split = {split: [row for row in rows if row["split"] == split] for split in SPLITS}
    result: dict[str, Any] = {
        name: {
            split: {
                **metric.summary(
                    [row[f"{name}_score"] for row in by_split[split]], config.threshold
                ),
                "perplexity": perplexities[name][split],
            }
            for split in SPLITS
        }
        for name in _MODELS
    }
    tuned = result["tuned"]
    return {
        "metric": {**METRIC, "threshold": config.threshold},
        **result,
        "controls": controls(by_split["test"], tfidf, config.threshold),
        "generalisation_gap": round(tuned["train"]["accuracy"] - tuned["test"]["accuracy"], 6),
        "samples": [_sample(row) for split in SPLITS for row in by_split[split][:3]],
    }


def controls(
    rows: list[dict[str, Any]], tfidf: TfIdf, threshold: float
) -> dict[str, dict[str, Any]]:
    """Score answers that cannot know the question, on the test split: what chance is worth.

    ``shuffled`` gives each question the tuned answer to the next one about another passage, ``lead``
    the first sentence of its passage.
    """
    shifted = []
    for place, row in enumerate(rows):
        others = rows[place + 1 :] + rows[:place]
        other = next((other for other in others if other["lead"] != row["lead"]), None)
        if other is not None:
            shifted.append((other["tuned"], row["reference"]))
    given = {
        "shuffled": ("the tuned model's answer to a question about another passage", shifted),
        "lead": (
            "the first sentence of the passage",
            [(row["lead"], row["reference"]) for row in rows],
        ),
    }
    return {
        name: {
            "description": description,
            **metric.summary([metric.score(*pair, tfidf) for pair in pairs], threshold),
        }
        for name, (description, pairs) in given.items()
    }


def _sample(row: dict[str, Any]) -> dict[str, Any]:
    kept = ("split", "paper", "page", "section", "prompt", "reference", "base", "tuned")
    return {
        **{key: row[key] for key in kept},
        "base_score": row["base_score"]["mixed"],
        "tuned_score": row["tuned_score"]["mixed"],
    }
