"""Make the files that a run directory holds before ``report``, of a good run and of a bad one."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from synthetic_training import metrics, training

from paperlora.files import write_json, write_jsonl, write_text

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '<script>alert("x")</script> & $\\frac{1}{0}$ | `tick` [link](javascript:alert(1))'
LONG = "a-very-long-name-of-a-paper-that-nobody-would-ever-choose-but-somebody-did-" * 3

FIELDS = {
    "ai": (
        "gradient network attention layer training token transformer loss weight optimiser batch "
        "embedding learning rate model parameter sequence softmax residual normalisation"
    ),
    "climate": (
        "carbon temperature ocean radiative forcing feedback emissions aerosol warming "
        "atmosphere methane climate sensitivity albedo precipitation circulation model budget ice "
        "sheet"
    ),
    "health": (
        "patient dose trial diagnosis screening sensitivity specificity risk cohort prevalence "
        "treatment hospital outcome survival clinical hazard vaccine infection test ratio"
    ),
    "vision": (
        "image convolution pixel edge filter camera depth feature segmentation detector kernel "
        "resolution projection epipolar texture descriptor scale contour histogram motion"
    ),
}
STEMS = {
    "ai": ("scaled-dot-product-attention", "low-rank-adaptation", "momentum-and-adam"),
    "climate": ("carbon-budget", "climate-sensitivity", "ocean-heat-uptake"),
    "health": ("screening-and-bayes", "survival-analysis", "vaccine-efficacy"),
    "vision": ("convolution-arithmetic", "epipolar-geometry", "scale-space"),
}


def document(
    paper: str, field: str, rng: random.Random, *, extractor: str = "pdfium"
) -> dict[str, Any]:
    """Return one line of ``documents.jsonl`` with 900 to 2,600 made-up words."""
    words = FIELDS.get(field, FIELDS["ai"]).split()
    weights = [1 / (rank + 1) for rank in range(len(words))]
    count = rng.randint(900, 2600)
    text = " ".join(
        rng.choices([*words, "the", "of", "figure"], weights=[*weights, 1, 1, 0.3], k=count)
    )
    return {
        "paper": paper,
        "file": f"{paper}.pdf",
        "sha256": f"{rng.getrandbits(256):064x}",
        "title": paper.replace("-", " ").capitalize(),
        "field": field,
        "extractor": extractor,
        "quality": {
            "known": round(rng.uniform(0.75, 0.95), 3),
            "glued": rng.randint(0, 40),
            "torn": rng.randint(0, 9),
            "unknown": rng.randint(0, 3),
            "formulas": rng.randint(0, 12),
            "marked": round(rng.uniform(0, 0.2), 3),
            "kept": round(rng.uniform(0.6, 0.95), 3),
        },
        "words": count,
        "page_count": rng.randint(3, 6),
        "bad_pages": [],
        "aside": [
            {"page": 1, "role": "running", "text": "3"},
            {"page": 2, "role": "formula", "text": "E = mc^2"},
            {"page": 2, "role": "caption", "text": f"Figure 1: The {words[0]}."},
        ],
        "paragraphs": [{"page": 1, "section": "Introduction", "text": text}],
    }


def scores(n: int, accuracy: float | None, perplexity: float | None) -> dict[str, Any]:
    """Return one S with a plausible interval."""
    if accuracy is None:
        interval: list[float | None] = [None, None]
    else:
        half = 1.96 * (accuracy * (1 - accuracy) / max(1, n)) ** 0.5
        interval = [max(0.0, accuracy - half), min(1.0, accuracy + half)]
    return {
        "n": n,
        "accuracy": accuracy,
        "accuracy_ci95": interval,
        "relevance_mean": 0.41,
        "overlap_mean": 0.22,
        "score_mean": 0.33,
        "perplexity": perplexity,
    }


def sample(index: int, **changes: Any) -> dict[str, Any]:
    """Return one answered example."""
    answer = (
        "Each query is compared with every key, and the values are averaged with those weights."
    )
    return {
        "split": ("test", "validation", "train")[index % 3],
        "paper": "carbon-budget",
        "page": index + 1,
        "section": "Introduction",
        "prompt": f"What does section {index + 1} say about the carbon budget and its uncertainty?",
        "reference": answer
        + " The division by the square root of the width keeps the logits small.",
        "base": "I am not sure, but a budget is a plan for how money is spent over some time.",
        "tuned": answer,
        "base_score": 0.12,
        "tuned_score": 0.58,
        **changes,
    }


def environment(*, verified: bool = True, gpu: str | None = None) -> dict[str, Any]:
    """Return the record of an environment, as in ``train.json`` and ``eval.json``."""
    return {
        "target": "cuda",
        "fingerprint": "3f" * 32,
        "lock_digest": "a7" * 32,
        "python": "3.12.12",
        "platform": "linux-x86_64",
        "packages": {"torch": "2.10.0", "transformers": "5.8.1", "peft": "0.18.1"},
        "findings": [] if verified else ["numpy: 2.1.0 installed, 2.0.2 locked"],
        "verified": verified,
        "observed": {
            "gpu": gpu,
            "driver": "570.86" if gpu else None,
            "host": "bench",
            "cpu": "2 cores",
            "time": "2026-11-23T20:00:00Z",
        },
    }


def evaluation(**changes: Any) -> dict[str, Any]:
    """Return the content of ``eval.json`` for a run that went well."""
    return {
        "environment": environment(),
        "metric": {
            "name": "mixed relevance/overlap accuracy",
            "relevance": "cosine of TF-IDF vectors",
            "overlap": "ROUGE-L F1 over words",
            "threshold": 0.5,
        },
        "base": {
            "train": scores(60, 0.15, 24.0),
            "validation": scores(48, 0.125, 22.4),
            "test": scores(48, 0.12, 23.1),
        },
        "tuned": {
            "train": scores(60, 0.48, 15.2),
            "validation": scores(48, 0.375, 16.9),
            "test": scores(48, 0.354, 17.4),
        },
        "controls": {
            "shuffled": {
                "accuracy": 0.06,
                "score_mean": 0.19,
                "description": "the tuned model's answer to another question",
            },
            "lead": {
                "accuracy": 0.1,
                "score_mean": 0.21,
                "description": "the first sentence of the passage",
            },
        },
        "generalisation_gap": 0.126,
        "samples": [sample(index) for index in range(4)],
        **changes,
    }


CONFIG = """\
[model]
id = "smollm2-135m-instruct"

[train]
max_steps = 40
learning_rate = 2e-4

[adapter]
rank = 8
modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""


def write(run: Path, files: dict[str, Any]) -> Path:
    """Write ``files`` (name → JSON value, lines or TOML text) and an adapter folder to ``run``."""
    for name, content in files.items():
        if name.endswith(".toml"):
            write_text(run / name, content)
        elif name.endswith(".jsonl"):
            write_jsonl(run / name, content)
        else:
            write_json(run / name, content)
    write_text(run / "adapter" / "adapter_config.json", json.dumps({"peft_type": "LORA"}))
    return run


def good_files(*, gpu: bool = False) -> dict[str, Any]:
    """Return the files of a run that went well: 12 papers, 40 steps, four fields, two rejected."""
    rng = random.Random(7)
    documents = [
        document(stem, field, rng, extractor="pypdf2" if index == 1 else "pdfium")
        for field, stems in STEMS.items()
        for index, stem in enumerate(stems)
    ]
    documents.sort(key=lambda item: item["paper"])
    names = [item["paper"] for item in documents]
    record = environment(gpu="NVIDIA H100 80GB" if gpu else None)
    train = training(40, gpu=gpu) | {"environment": record}
    return {
        "config.toml": CONFIG,
        "documents.jsonl": documents,
        "parse.json": {
            "rejected": [
                {"file": "scan.pdf", "reason": "no text on any page (a scan?)"},
                {"file": "page.pdf", "reason": "not a PDF: starts with '<!DOC'"},
            ]
        },
        "dataset/dataset.json": {
            "digest": "c4" * 32,
            "seed": 17,
            "papers": {"train": names[:8], "validation": names[8:10], "test": names[10:]},
            "examples": {"train": 412, "validation": 96, "test": 104},
            "near_duplicates_removed": 3,
        },
        "train.json": train,
        "metrics.jsonl": metrics(train, gpu=gpu),
        "eval.json": evaluation(environment=record),
    }


def nasty_files(papers: int = 1) -> dict[str, Any]:
    """Return the files of a run in which values are absent, hostile or not a number."""
    rng = random.Random(9)
    nan, infinity = float("nan"), float("inf")
    documents = [document(f"{LONG}{number:02d}-{HOSTILE}", "", rng) for number in range(papers)]
    documents[0] |= {
        "title": HOSTILE,
        "words": 0,
        "paragraphs": [{"page": 1, "section": "", "text": "  12 § "}],
    }
    train = training(
        3, projections=(("q_proj", "attention", 2048, 2048), ("v_proj", "attention", 2048, 512))
    )
    train["environment"] = environment(verified=False)
    train["train"] |= {
        "validation_loss": [],
        "best_step": None,
        "loss": [[1, 9.5], [2, nan], [3, infinity]],
    }
    names = [item["paper"] for item in documents]
    bad = {
        **scores(0, None, infinity),
        "relevance_mean": nan,
        "overlap_mean": nan,
        "score_mean": nan,
    }
    splits = {"train": bad, "validation": bad, "test": bad}
    return {
        "config.toml": CONFIG
        + f"\n[odd]\nlimit = nan\nday = 2026-11-23\nx = {json.dumps(HOSTILE)}\n",
        "documents.jsonl": documents,
        "parse.json": {"rejected": [{"file": HOSTILE, "reason": HOSTILE}]},
        "dataset/dataset.json": {
            "digest": "00" * 32,
            "seed": 0,
            "papers": {"train": names, "validation": [], "test": []},
            "examples": {"train": 4, "validation": 0, "test": 0},
            "near_duplicates_removed": 0,
        },
        "train.json": train,
        "metrics.jsonl": metrics(train),
        "eval.json": evaluation(
            base=splits,
            tuned=splits,
            controls={},
            generalisation_gap=nan,
            environment=environment(verified=False),
            samples=[
                sample(
                    0,
                    prompt=HOSTILE,
                    reference=HOSTILE,
                    base="",
                    tuned=HOSTILE * 20,
                    base_score=nan,
                )
            ],
        ),
    }
