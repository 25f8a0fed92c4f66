from types import SimpleNamespace

import psutil
import pytest
import torch
from tiny_step import CPU, EXAMPLE, adapted, assert_same, gradients

from paperlora.pipeline.model import encoding


def memory(monkeypatch, available):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available))


def test_unpacked_weights_give_the_same_bits_as_packed_ones(monkeypatch):
    memory(monkeypatch, 0)
    _, packed = adapted()
    memory(monkeypatch, 2**40)
    _, expanded = adapted()
    layer = "base_model.model.model.layers.0.mlp.up_proj.base_layer"
    assert "forward" in vars(expanded.get_submodule(layer))
    assert "forward" not in vars(packed.get_submodule(layer))
    one, other = gradients(packed), gradients(expanded)
    assert one[0] == other[0]
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


@pytest.mark.parametrize("available", [0, 2**40])
def test_a_validation_does_not_change_the_next_gradient(monkeypatch, available):
    """bitsandbytes would repack the frozen weights there, on a CPU with AVX512-BF16."""
    memory(monkeypatch, available)
    _, tuned = adapted()
    before = gradients(tuned)
    tuned.eval()
    with torch.inference_mode():
        encoding.answer_loss(tuned, EXAMPLE, CPU)
    assert_same(before, gradients(tuned))
