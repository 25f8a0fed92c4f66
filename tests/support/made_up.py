"""Random papers, and a configuration that trains on them in seconds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paperlora.pipeline.config import RunConfig

NOUNS = [
    "adapter",
    "glacier",
    "dose",
    "camera",
    "layer",
    "forcing",
    "trial",
    "pixel",
    "rank",
    "budget",
    "carrier",
    "lens",
]
VERBS = [
    "raises",
    "lowers",
    "bounds",
    "measures",
    "predicts",
    "explains",
    "follows",
    "limits",
    "scales",
    "moves",
]
ADJECTIVES = [
    "frozen",
    "warm",
    "small",
    "linear",
    "global",
    "local",
    "sparse",
    "dense",
    "early",
    "late",
]


ENVIRONMENT = {
    "target": "cuda",
    "fingerprint": "f" * 64,
    "lock_digest": "0" * 64,
    "python": "3.12.1",
    "platform": "linux-x86_64",
    "packages": {"torch": "2.10.0"},
    "findings": [],
    "verified": True,
    "observed": {"gpu": None, "driver": None, "host": "h", "cpu": "c", "time": "t"},
}
"""A record of an environment."""


def sentence(rng: random.Random) -> str:
    """A sentence that is almost certainly unique, because of its made-up name."""
    name = "".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(4))
    words = f"the {rng.choice(ADJECTIVES)} {name} {rng.choice(NOUNS)} {rng.choice(VERBS)} "
    words += f"a {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} of the {rng.choice(NOUNS)}"
    return words.capitalize() + "."


def document(name: str, field: str = "", paragraphs: int = 8) -> dict[str, object]:
    """A row of ``documents.jsonl``; the same name always gives the same document."""
    rng = random.Random(name)
    return {
        "paper": name,
        "file": f"{name}.pdf",
        "sha256": f"{rng.getrandbits(256):064x}",
        "title": f"On {name}",
        "field": field,
        "extractor": "pdfium",
        "quality": {
            "known": 0.95,
            "glued": 0,
            "torn": 0,
            "unknown": 0,
            "formulas": 0,
            "marked": 0.0,
            "kept": 0.9,
        },
        "words": paragraphs * 60,
        "page_count": 3,
        "bad_pages": [],
        "aside": [{"page": 1, "role": "note", "text": "The authors thank a snail."}],
        "paragraphs": [
            {
                "page": 1 + index // 3,
                "section": ["Abstract", "Introduction", "Method"][index % 3],
                "text": " ".join(sentence(rng) for _ in range(6)),
            }
            for index in range(paragraphs)
        ],
    }


def tiny_config(*overrides: str) -> RunConfig:
    """A configuration that trains the tiny model in a few seconds."""
    from paperlora.pipeline import config_file

    return config_file.load("tiny", ["train.max_steps=4", "eval.questions=2", "eval.passages=1",
                                "model.max_length=256", "eval.max_new_tokens=4", *overrides])  # fmt: skip
