"""The tiny Gemma 3n with an adapter, examples of different lengths, and the two ways to gradients."""

from __future__ import annotations

import random

import pytest
import torch
from made_up import tiny_config

from paperlora.pipeline.model import adapter, encoding, load, store
from paperlora.pipeline.model.encoding import Encoded
from paperlora.pipeline.model.gemma3n import packing, step
from paperlora.pipeline.train import checkpoint

CPU = torch.device("cpu")
EXAMPLE = Encoded(prompt=list(range(5, 60)), answer=[*range(60, 90), 4])


def adapted(*overrides, device=CPU):
    """The loaded base model, and the same with an adapter whose B is random.

    A new adapter's B is zero, and so are the gradients of its A: a fault there would not show.
    """
    config = tiny_config("adapter.dropout=0", *overrides)
    load.prepare(0)
    base = load.load(store.obtain("tiny-gemma-3n"), config.model, device)
    torch.manual_seed(0)
    tuned = adapter.add_adapter(base, config.adapter, config.train)
    for name, parameter in checkpoint.trainable(tuned).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return base, tuned


def examples(*sizes):
    """Random examples of the given sizes: tokens of the prompt, tokens of the answer."""
    rng = random.Random(0)
    return [
        Encoded(
            prompt=[rng.randrange(5, 261) for _ in range(before)],
            answer=[rng.randrange(5, 261) for _ in range(after)],
        )
        for before, after in sizes
    ]


def gradients(tuned):
    """Loss (nats) of ``EXAMPLE`` and its gradients, by transformers, peft and autograd."""
    tuned.zero_grad()
    tuned.train()
    loss = encoding.answer_loss(tuned, EXAMPLE, CPU)
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in checkpoint.trainable(tuned).items()}


def by_stock(tuned, found):
    """Loss (nats) and gradients by transformers, peft and autograd, one example after another."""
    tokens = sum(len(one.answer) for one in found)
    tuned.train()
    for parameter in checkpoint.trainable(tuned).values():
        parameter.grad = None
    total = 0.0
    for one in found:
        loss = encoding.answer_loss(tuned, one, CPU)
        (loss / tokens).backward()
        total += loss.item()
    return total, {n: p.grad.clone() for n, p in checkpoint.trainable(tuned).items()}


def by_step(tuned, found, *, ops, activations="recompute", chunk=100, longest=256):
    """Loss (nats) and gradients by the step of ``gemma3n``, in packed rows."""
    read = step.read(tuned, ops=ops, activations=activations, chunk=chunk)
    tokens = sum(len(one.answer) for one in found)
    total = 0.0
    for row in packing.pack(found, longest):
        given = step.inputs(read, len(row.ids))
        step.fill(read, given, row, 1 / tokens)
        total += step.run(read, given, train=True).item()
    return total, {n: p.grad.clone() for n, p in checkpoint.trainable(tuned).items()}


def furthest(found, expected):
    """The largest ||found - expected|| / ||expected|| over the adapter's parameters."""
    assert found.keys() == expected.keys()
    return max(
        ((found[n] - expected[n]).norm() / expected[n].norm()).nan_to_num(nan=1e9).item()
        for n in expected
    )


def assert_same(one, other):
    """Compare two results of ``gradients``, number by number."""
    assert one[0] == pytest.approx(other[0], rel=1e-6)
    assert one[1].keys() == other[1].keys()
    for name, gradient in one[1].items():
        assert torch.allclose(gradient, other[1][name], rtol=1e-4, atol=1e-6), name
