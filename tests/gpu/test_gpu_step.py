"""Gemma 3n's step on a real GPU, with the tiny model: `env/nox -s tests -- -m gpu`."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from made_up import ENVIRONMENT, tiny_config
from tiny_step import adapted, examples, furthest

from paperlora.pipeline.model.gemma3n import fused, packing, plain, step
from paperlora.pipeline.model.gemma3n.runner import Runner
from paperlora.pipeline.train import checkpoint, train

pytestmark = pytest.mark.gpu
GPU = torch.device("cuda")
SIZES = [(120, 40), (60, 20), (30, 9), (100, 50)]
ADAPTER = "adapter/adapter_model.safetensors"


@pytest.fixture(scope="module", autouse=True)
def _a_gpu():
    assert torch.cuda.is_available(), "these tests need a CUDA device, and there is none"


def gradients(wrapped, *, ops=fused, activations="recompute", capture=False, times=1):
    found = examples(*SIZES)
    tokens = sum(len(one.answer) for one in found)
    read = step.read(wrapped, ops=ops, activations=activations, chunk=100)
    run = Runner(model=read, capture=capture)
    for _ in range(times):
        read.adapters.gradient.zero_()
        total = sum(run.train(row, 1 / tokens).item() for row in packing.pack(found, 256))
    return total, {n: p.grad.clone() for n, p in checkpoint.trainable(wrapped).items()}


def test_compiled_kernels_give_the_gradients_of_plain_torch():
    wrapped = adapted("model.compute_dtype=float32", device=GPU)[1]
    loss, found = gradients(wrapped)
    expected_loss, expected = gradients(wrapped, ops=plain)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert furthest(found, expected) < 1e-3


@pytest.mark.parametrize(
    "how",
    [{"activations": "keep"}, {"activations": "offload"}, {"capture": True, "times": 3},
     {"activations": "offload", "capture": True, "times": 3}],
)  # fmt: skip
def test_neither_activations_nor_a_graph_change_a_bit(how):
    wrapped = adapted("model.compute_dtype=bfloat16", device=GPU)[1]
    one, other = gradients(wrapped), gradients(wrapped, **how)
    assert one[0] == other[0]
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


@pytest.fixture
def first(prepared, tmp_path):
    run = Path(shutil.copytree(prepared, tmp_path / "first"))
    train.train(run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cuda")
    return run


def test_the_same_training_gives_the_same_bytes(first, fresh_run):
    train.train(fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cuda")
    assert (fresh_run / ADAPTER).read_bytes() == (first / ADAPTER).read_bytes()


def test_moments_in_eight_bits_survive_an_interruption(first, fresh_run, monkeypatch):
    real, calls = Runner.train, []

    def watched(*arguments):
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "train", watched)
        with pytest.raises(KeyboardInterrupt):
            train.train(
                fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cuda"
            )
    train.train(fresh_run, tiny_config(), inputs="x", environment=ENVIRONMENT, device="cuda")
    assert (fresh_run / ADAPTER).read_bytes() == (first / ADAPTER).read_bytes()
