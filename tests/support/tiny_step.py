"""A tuned tiny Gemma 3n, examples of different lengths, and the two ways to their gradients."""

from __future__ import annotations

import random

import torch
from made_up import tiny_config

from paperlora.pipeline.model import adapter, encoding, load, store
from paperlora.pipeline.model.encoding import Encoded
from paperlora.pipeline.model.gemma3n import packing, step
from paperlora.pipeline.train import checkpoint

CPU = torch.device("cpu")


def tuned(*overrides):
    """The model in float32, its adapter away from its start, where half of the gradients are nought."""
    config = tiny_config(*overrides)
    load.prepare(0)
    base = load.load(store.obtain("tiny-gemma-3n"), config.model, CPU)
    torch.manual_seed(0)
    wrapped = adapter.add_adapter(base, config.adapter, config.train)
    for name, parameter in checkpoint.trainable(wrapped).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return wrapped


def examples(*sizes):
    rng = random.Random(0)
    return [
        Encoded(
            prompt=[rng.randrange(5, 261) for _ in range(before)],
            answer=[rng.randrange(5, 261) for _ in range(after)],
        )
        for before, after in sizes
    ]


def by_stock(wrapped, found):
    """Loss and gradients by transformers, peft and autograd, one example after another."""
    tokens = sum(len(one.answer) for one in found)
    wrapped.train()
    for parameter in checkpoint.trainable(wrapped).values():
        parameter.grad = None
    total = 0.0
    for one in found:
        loss = encoding.answer_loss(wrapped, one, CPU)
        (loss / tokens).backward()
        total += loss.item()
    return total, {n: p.grad.clone() for n, p in checkpoint.trainable(wrapped).items()}


def by_step(wrapped, found, *, ops, activations="recompute", chunk=100, longest=256):
    """The same by the step, in packed rows."""
    read = step.read(wrapped, ops=ops, activations=activations, chunk=chunk)
    tokens = sum(len(one.answer) for one in found)
    total = 0.0
    for row in packing.pack(found, longest):
        given = step.inputs(read, len(row.ids))
        step.fill(read, given, row, 1 / tokens)
        total += step.run(read, given, train=True).item()
    return total, {n: p.grad.clone() for n, p in checkpoint.trainable(wrapped).items()}


def furthest(found, expected):
    """The largest ||found - expected|| / ||expected|| over the adapter's parameters."""
    assert found.keys() == expected.keys()
    return max(
        ((found[n] - expected[n]).norm() / expected[n].norm()).nan_to_num(nan=1e9).item()
        for n in expected
    )
