"""What several tests stand on: papers made of words, and a run that a tiny model trained."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from paperlora.files import write_json, write_jsonl

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


def sentence(rng: random.Random) -> str:
    """A sentence of its own: the made-up names are unique with near certainty."""
    name = "".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(4))
    words = f"the {rng.choice(ADJECTIVES)} {name} {rng.choice(NOUNS)} {rng.choice(VERBS)} "
    words += f"a {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} of the {rng.choice(NOUNS)}"
    return words.capitalize() + "."


def document(name: str, field: str = "", paragraphs: int = 8) -> dict[str, object]:
    rng = random.Random(name)
    return {
        "paper": name,
        "file": f"{name}.pdf",
        "sha256": f"{rng.getrandbits(256):064x}",
        "title": f"On {name}",
        "field": field,
        "extractor": "pypdf2",
        "quality": {"pypdf2": 0.95, "pdfium": None, "glued": 0, "torn": 0},
        "words": paragraphs * 60,
        "page_count": 3,
        "paragraphs": [
            {
                "page": 1 + index // 3,
                "section": ["Abstract", "Introduction", "Method"][index % 3],
                "text": " ".join(sentence(rng) for _ in range(6)),
            }
            for index in range(paragraphs)
        ],
    }


@pytest.fixture
def documents() -> list[dict[str, object]]:
    fields = ["ai", "climate", "health"]
    return [document(f"paper-{n}", fields[n % 3]) for n in range(6)]


@pytest.fixture
def parsed_run(tmp_path: Path, documents: list[dict[str, object]]) -> Path:
    """A run directory as `parse` leaves it."""
    run = tmp_path / "run"
    write_jsonl(run / "documents.jsonl", documents)
    write_json(run / "parse.json", {"rejected": []})
    return run


@pytest.fixture(scope="session", autouse=True)
def _models_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Keep the tests out of the user's cache of models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERLORA_MODELS", str(tmp_path_factory.mktemp("models")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


def tiny_config(*overrides: str) -> object:
    """A configuration that trains the tiny model in a few seconds."""
    from paperlora.pipeline import config

    return config.load("tiny", ["train.max_steps=4", "eval.questions=2", "eval.passages=1",
                                "model.max_length=256", "eval.max_new_tokens=4", *overrides])  # fmt: skip


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with documents and dataset, for copying."""
    from paperlora.pipeline import dataset

    run = tmp_path_factory.mktemp("prepared") / "run"
    write_jsonl(run / "documents.jsonl", [document(f"paper-{n}") for n in range(6)])
    write_json(run / "parse.json", {"rejected": []})
    dataset.build(run, tiny_config().dataset)  # type: ignore[attr-defined]
    return run


@pytest.fixture
def fresh_run(prepared: Path, tmp_path: Path) -> Path:
    """A copy of `prepared` to train in."""
    return Path(shutil.copytree(prepared, tmp_path / "fresh"))


@pytest.fixture(scope="session")
def trained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the tiny model was trained in; only to be read."""
    from paperlora.pipeline import train

    run = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("trained") / "run"))
    train.train(run, tiny_config(), inputs="x", device="cpu")  # type: ignore[arg-type]
    return run
