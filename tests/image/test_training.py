"""Train in the image: without network, on a read-only root, stopped and resumed.

Folders are volumes, filled and read through the engine: an engine may not see this machine's files.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from engine import NAME, docker, inside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.image, pytest.mark.timeout(1200)]


@contextmanager
def volume() -> Iterator[str]:
    name = docker("volume", "create", f"paperlora-test-{uuid.uuid4().hex[:8]}").strip()
    try:
        yield name
    finally:
        docker("volume", "rm", "--force", name)


@pytest.fixture
def runs() -> Iterator[str]:
    with volume() as name:
        yield name


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A volume with the demo's model, downloaded here and checked by hash."""
    from paperlora.pipeline.model import store

    monkeypatch.setenv("PAPERLORA_MODELS", str(tmp_path))
    store.obtain("smollm2-135m-instruct")
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.unlink() if path.suffix == ".lock" else path.chmod(0o777 if path.is_dir() else 0o644)
    with volume() as name:
        holder = docker("create", "-v", f"{name}:/models", f"{NAME}:cuda").strip()
        try:
            docker("cp", f"{tmp_path}/.", f"{holder}:/models/")
        finally:
            docker("rm", holder)
        yield name


def read(runs: str, file: str) -> str:
    """Return a file of a volume, ``""`` when it is missing."""
    script = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); print(p.read_text() if p.exists() else '')"
    options = ("-v", f"{runs}:/runs", "--entrypoint", "python")
    return inside("-Ic", script, f"/runs/{file}", options=options).rstrip("\n")


def test_the_demo_trains_and_evaluates_without_network(runs: str, models: str) -> None:
    fewer = ("train.max_steps=8", "train.accumulation=1", "train.validation_examples=2")
    fewer += (
        "model.max_length=256",
        "eval.questions=3",
        "eval.passages=3",
        "eval.max_new_tokens=8",
    )
    short = [word for one in fewer for word in ("--set", one)]
    mounts = ("-v", f"{runs}:/runs", "-v", f"{models}:/models")
    assert "report: " in inside("train", "eval", "--run", "demo", *short, options=mounts)
    report = json.loads(read(runs, "demo/report.json"))
    assert report["environment"]["findings"] == []
    assert report["train"]["steps"] == 8
    tuned, base = report["eval"]["tuned"]["train"], report["eval"]["base"]["train"]
    assert tuned["perplexity"] < base["perplexity"]
    assert "</html>" in read(runs, "demo/report.html")


def test_stop_leaves_a_checkpoint_from_which_the_next_run_goes_on(runs: str) -> None:
    steps = 30
    command = ("train", "--config", "tiny", "--run", "stopped", "--set", f"train.max_steps={steps}")
    command += ("--set", "train.patience=1000")
    limits = ("--network", "none", "--read-only", "--tmpfs", "/tmp", "-v", f"{runs}:/runs")
    container = docker("run", "-d", *limits, f"{NAME}:cuda", *command).strip()
    try:
        until = time.monotonic() + 300
        while read(runs, "stopped/checkpoints/metrics.jsonl").count("\n") < 3:
            state = docker("inspect", "-f", "{{.State.Status}}", container).strip()
            assert state == "running", docker("logs", container)
            assert time.monotonic() < until, "no step in five minutes"
        docker("stop", "--time", "60", container)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", container).strip() == "130"
    finally:
        docker("rm", "-f", container)
    before = read(runs, "stopped/checkpoints/metrics.jsonl").splitlines()
    assert len(before) < steps
    inside(*command, options=("-v", f"{runs}:/runs"))
    after = read(runs, "stopped/metrics.jsonl").splitlines()
    assert after[: len(before)] == before, "it began again"
    trained = [row["step"] for row in map(json.loads, after) if row["split"] == "train"]
    assert trained == list(range(1, steps + 1))
