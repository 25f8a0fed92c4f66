from types import SimpleNamespace

import bitsandbytes
import psutil
import pytest
import torch
from tiny_step import CPU, EXAMPLE, adapted, assert_same, gradients

from paperlora.errors import InputError
from paperlora.pipeline.model import encoding, load


def test_linear_weights_are_nf4_and_altup_is_not():
    base, _ = adapted()
    kinds = {name: type(module) for name, module in base.model.named_modules()}
    four_bit = {
        name for name, kind in kinds.items() if issubclass(kind, bitsandbytes.nn.Linear4bit)
    }
    assert any(name.endswith("up_proj.base_layer") for name in four_bit)
    assert not [n for n in four_bit if "prediction_coefs" in n or "correction_coefs" in n]
    weight = base.model.model.layers[0].mlp.up_proj.base_layer.weight
    assert (weight.dtype, weight.quant_state.quant_type) == (torch.uint8, "nf4")
    assert weight.quant_state.nested


def test_the_parameters_of_packed_weights_are_counted_whole():
    base, tuned = adapted()
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base.files.directory)
    assert load.parameter_count(tuned) == sum(p.numel() for p in plain.parameters())


def test_an_absent_device_and_an_unknown_dtype_are_refused():
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA"):
            load.device("cuda")
    assert load.device("cpu") == CPU
    with pytest.raises(InputError, match="compute_dtype"):
        adapted("model.compute_dtype=int8")


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
