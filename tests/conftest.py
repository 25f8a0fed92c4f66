"""What several tests stand on: papers made of words, and a run that a tiny model trained."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: the tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Read when a kernel is defined: without a GPU, Triton interprets instead of compiling.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from made_up import ENVIRONMENT, document, tiny_config

from paperlora.files import write_json, write_jsonl


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


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with documents and dataset, for copying."""
    from paperlora.pipeline.dataset import dataset

    run = tmp_path_factory.mktemp("prepared") / "run"
    write_jsonl(run / "documents.jsonl", [document(f"paper-{n}") for n in range(6)])
    write_json(run / "parse.json", {"rejected": []})
    dataset.build(run, tiny_config().dataset)
    return run


@pytest.fixture
def fresh_run(prepared: Path, tmp_path: Path) -> Path:
    """A copy of `prepared` to train in."""
    return Path(shutil.copytree(prepared, tmp_path / "fresh"))


@pytest.fixture(scope="session")
def trained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the tiny model was trained in; only to be read."""
    from paperlora.pipeline.train import train

    run = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("trained") / "run"))
    train.train(run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cpu")
    return run
