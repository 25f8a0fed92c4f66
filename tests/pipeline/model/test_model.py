from types import SimpleNamespace

import bitsandbytes
import psutil
import pytest
import torch
import torch.nn.functional as F
from made_up import tiny_config

from paperlora.errors import InputError
from paperlora.pipeline.model import adapter, encoding, load, store, tiny
from paperlora.pipeline.model.encoding import Encoded
from paperlora.pipeline.train import checkpoint

CPU = torch.device("cpu")
EXAMPLE = Encoded(prompt=list(range(5, 60)), answer=[*range(60, 90), 4])


def loaded(*overrides):
    config = tiny_config("adapter.dropout=0", *overrides)
    load.prepare(0)
    base = load.load(store.obtain("tiny-gemma-3n"), config.model, CPU)
    torch.manual_seed(0)
    tuned = adapter.add_adapter(base, config.adapter, config.train)
    for name, parameter in checkpoint.trainable(tuned).items():
        if "lora_B" in name:  # starts at zero, and would hide every fault behind it
            torch.nn.init.normal_(parameter, std=0.02)
    return base, tuned


def gradients(tuned):
    tuned.zero_grad()
    tuned.train()
    loss = encoding.answer_loss(tuned, EXAMPLE, CPU)
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in checkpoint.trainable(tuned).items()}


def assert_same(one, other):
    assert one[0] == pytest.approx(other[0], rel=1e-6)
    assert one[1].keys() == other[1].keys()
    for name, gradient in one[1].items():
        assert torch.allclose(gradient, other[1][name], rtol=1e-4, atol=1e-6), name


def test_linear_weights_are_nf4_and_altup_is_not():
    base, _ = loaded()
    kinds = {name: type(module) for name, module in base.model.named_modules()}
    four_bit = {
        name for name, kind in kinds.items() if issubclass(kind, bitsandbytes.nn.Linear4bit)
    }
    assert any(name.endswith("up_proj.base_layer") for name in four_bit)
    assert not [n for n in four_bit if "prediction_coefs" in n or "correction_coefs" in n]
    weight = base.model.model.layers[0].mlp.up_proj.base_layer.weight
    assert (weight.dtype, weight.quant_state.quant_type) == (torch.uint8, "nf4")
    assert weight.quant_state.nested


def test_only_the_adapter_trains_and_every_part_of_it_gets_a_gradient():
    _, tuned = loaded()
    assert all("lora_" in name for name in checkpoint.trainable(tuned))
    loss, found = gradients(tuned)
    assert loss > 0
    assert [name for name, gradient in found.items() if not gradient.abs().sum() > 0] == []


def test_layers_that_share_keys_and_values_get_no_adapter_on_them():
    _, tuned = loaded()
    names = " ".join(checkpoint.trainable(tuned))
    for layer, expected in [(0, True), (1, True), (2, False), (3, False)]:
        assert (f"layers.{layer}.self_attn.k_proj" in names) is expected
        assert (f"layers.{layer}.self_attn.v_proj" in names) is expected
        assert f"layers.{layer}.self_attn.q_proj" in names


def test_checkpointing_changes_neither_loss_nor_gradient():
    """Fails with a transformers that turns the sharing of keys and values off in training."""
    _, plain = loaded()
    _, saving = loaded("train.gradient_checkpointing=true")
    assert saving.is_gradient_checkpointing
    assert not plain.is_gradient_checkpointing
    assert_same(gradients(plain), gradients(saving))


def memory(monkeypatch, available):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available))


def test_weights_kept_expanded_give_the_same_bits_as_those_expanded_each_time(monkeypatch):
    memory(monkeypatch, 0)
    _, packed = loaded()
    memory(monkeypatch, 2**40)
    _, expanded = loaded()
    layer = "base_model.model.model.layers.0.mlp.up_proj.base_layer"
    assert "forward" in vars(expanded.get_submodule(layer))
    assert "forward" not in vars(packed.get_submodule(layer))
    one, other = gradients(packed), gradients(expanded)
    assert one[0] == other[0]
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


@pytest.mark.parametrize("available", [0, 2**40])
def test_a_validation_leaves_the_next_gradient_as_it_was(monkeypatch, available):
    """bitsandbytes would repack the frozen weights there, on a CPU with AVX512-BF16."""
    memory(monkeypatch, available)
    _, tuned = loaded()
    before = gradients(tuned)
    tuned.eval()
    with torch.inference_mode():
        encoding.answer_loss(tuned, EXAMPLE, CPU)
    assert_same(before, gradients(tuned))


def test_the_loss_is_that_of_the_full_logits():
    _, tuned = loaded()
    tuned.eval()
    ids = torch.tensor([EXAMPLE.prompt + EXAMPLE.answer])
    with torch.no_grad():
        logits = tuned(input_ids=ids, use_cache=False).logits[0, :-1].float()
        expected = F.cross_entropy(
            logits[-len(EXAMPLE.answer) :], ids[0, -len(EXAMPLE.answer) :], reduction="sum"
        )
        assert encoding.answer_loss(tuned, EXAMPLE, CPU).item() == pytest.approx(expected.item())
        wrong = Encoded(prompt=EXAMPLE.prompt[1:], answer=EXAMPLE.answer)
        assert encoding.answer_loss(tuned, wrong, CPU).item() != pytest.approx(expected.item())


def test_the_parameters_of_packed_weights_are_counted_whole():
    base, tuned = loaded()
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base.weights.directory)
    assert load.parameter_count(tuned) == sum(p.numel() for p in plain.parameters())


def test_the_adapter_table_adds_up():
    _, tuned = loaded()
    rows = adapter.adapter_modules(tuned, tiny_config().adapter)
    assert sum(row["parameters"] for row in rows) == sum(
        p.numel() for p in checkpoint.trainable(tuned).values()
    )
    query = next(row for row in rows if row["name"] == "q_proj")
    assert (query["in"], query["out"], query["layers"]) == (64, 64, 4)
    assert query["parameters"] == 4 * 8 * (64 + 64)
    assert next(row for row in rows if row["name"] == "k_proj")["layers"] == 2


def test_a_projection_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no projection z_proj"):
        loaded('adapter.mlp=["up_proj", "z_proj"]')


def test_encoding_ends_the_turn_and_keeps_the_end_of_a_long_prompt():
    tokenizer = tiny.tokenizer()
    short = encoding.encode(tokenizer, "ask", "tell", 100)
    text = tokenizer.decode(short.prompt + short.answer)
    assert text == (
        "<bos><start_of_turn>user\nask<end_of_turn>\n<start_of_turn>model\ntell<end_of_turn>"
    )
    assert tokenizer.decode(short.answer) == "tell<end_of_turn>"
    long = encoding.encode(tokenizer, "x" * 500 + "ask", "tell", 100)
    assert len(long.prompt) + len(long.answer) == 100
    assert tokenizer.decode(long.prompt).endswith("ask<end_of_turn>\n<start_of_turn>model\n")


def test_a_template_that_does_not_go_on_from_its_prompt_is_refused():
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template += "{% if add_generation_prompt %}<think>{% endif %}"
    with pytest.raises(InputError, match="chat template"):
        encoding.encode(tokenizer, "ask", "tell", 100)


def test_the_tiny_tokenizer_keeps_any_text():
    tokenizer = tiny.tokenizer()
    text = "naïve ﬁ ∑ 你好\n"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_a_device_or_dtype_that_is_not_there_is_refused():
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA"):
            load.device("cuda")
    assert load.device("cpu") == CPU
    with pytest.raises(InputError, match="compute_dtype"):
        loaded("model.compute_dtype=int8")
