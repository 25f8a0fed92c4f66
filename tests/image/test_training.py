"""Training in the image: without network, on a read-only root, stopped and resumed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from engine import NAME, docker, inside

pytestmark = [pytest.mark.image, pytest.mark.timeout(1200)]


def results(run: Path) -> dict:
    return json.loads((run / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's model, fetched by hash once, as a first run with a network does."""
    folder = tmp_path_factory.mktemp("models")
    folder.chmod(0o777)
    authorities = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    options = ["--rm", "--network", "host", "--entrypoint", "python", "-v", f"{folder}:/models"]
    if Path(authorities).exists():
        options += ["-v", f"{authorities}:/etc/ssl/certs/ca-certificates.crt:ro"]
        options += ["-e", "UV_SYSTEM_CERTS=true"]
    script = "from paperlora.pipeline import weights; weights.obtain('smollm2-135m-instruct')"
    docker("run", *options, f"{NAME}:cuda", "-c", script)
    return folder


def test_the_demo_trains_and_evaluates_without_network(runs: Path, models: Path) -> None:
    short = ("--set", "train.max_steps=4", "--set", "eval.questions=4", "--set", "eval.passages=4")
    mounts = ("-v", f"{runs}:/runs", "-v", f"{models}:/models")
    told = inside("train", "eval", "--run", "demo", *short, options=mounts)
    assert "report: " in told
    report = results(runs / "demo")
    assert report["environment"]["findings"] == []
    tuned, base = report["eval"]["tuned"]["train"], report["eval"]["base"]["train"]
    assert tuned["perplexity"] < base["perplexity"]
    assert (runs / "demo/report.html").stat().st_size > 10_000


def test_stop_leaves_a_checkpoint_from_which_the_next_run_goes_on(runs: Path) -> None:
    command = ("train", "--config", "tiny", "--run", "stopped", "--set", "train.max_steps=40")
    limits = ("--network", "none", "--read-only", "--tmpfs", "/tmp", "-v", f"{runs}:/runs")
    container = docker("run", "-d", *limits, f"{NAME}:cuda", *command).strip()
    try:
        metrics = runs / "stopped/metrics.jsonl"
        until = time.monotonic() + 300
        while not (metrics.exists() and metrics.read_text(encoding="utf-8").count("\n") > 3):
            state = docker("inspect", "-f", "{{.State.Status}}", container).strip()
            assert state == "running", docker("logs", container)
            assert time.monotonic() < until, "no step in five minutes"
            time.sleep(0.5)
        docker("stop", "--time", "60", container)
        code = docker("inspect", "-f", "{{.State.ExitCode}}", container).strip()
        assert code == "130"
    finally:
        docker("rm", "-f", container)
    assert list((runs / "stopped/checkpoints").iterdir())
    steps = metrics.read_text(encoding="utf-8").count("\n")
    inside(*command, options=("-v", f"{runs}:/runs"))
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    trained = [row["step"] for row in rows if row["split"] == "train"]
    assert trained == sorted(set(trained)), "a step was trained twice"
    assert max(trained) == 40
    assert len(rows) > steps
