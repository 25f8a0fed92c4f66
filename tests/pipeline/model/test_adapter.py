import pytest
from made_up import tiny_config
from tiny_step import adapted, assert_same, gradients

from paperlora.errors import InputError
from paperlora.pipeline.model import adapter
from paperlora.pipeline.train import checkpoint


def test_only_the_adapter_trains_and_every_part_of_it_gets_a_gradient():
    _, tuned = adapted()
    assert all("lora_" in name for name in checkpoint.trainable(tuned))
    loss, found = gradients(tuned)
    assert loss > 0
    assert [name for name, gradient in found.items() if not gradient.abs().sum() > 0] == []


def test_layers_that_share_keys_and_values_get_no_adapter_on_them():
    _, tuned = adapted()
    names = " ".join(checkpoint.trainable(tuned))
    for layer, expected in [(0, True), (1, True), (2, False), (3, False)]:
        assert (f"layers.{layer}.self_attn.k_proj" in names) is expected
        assert (f"layers.{layer}.self_attn.v_proj" in names) is expected
        assert f"layers.{layer}.self_attn.q_proj" in names


def test_checkpointing_changes_neither_loss_nor_gradient():
    """Fails with a transformers that turns the sharing of keys and values off in training."""
    _, plain = adapted()
    _, saving = adapted("train.gradient_checkpointing=true")
    assert saving.is_gradient_checkpointing
    assert not plain.is_gradient_checkpointing
    assert_same(gradients(plain), gradients(saving))


def test_the_adapter_table_adds_up():
    _, tuned = adapted()
    rows = adapter.adapter_modules(tuned, tiny_config().adapter)
    assert sum(row["parameters"] for row in rows) == sum(
        p.numel() for p in checkpoint.trainable(tuned).values()
    )
    query = next(row for row in rows if row["name"] == "q_proj")
    assert (query["in"], query["out"], query["layers"]) == (64, 64, 4)
    assert query["parameters"] == 4 * 8 * (64 + 64)
    assert next(row for row in rows if row["name"] == "k_proj")["layers"] == 2


def test_an_unknown_projection_is_named():
    with pytest.raises(InputError, match="no projection z_proj"):
        adapted('adapter.mlp=["up_proj", "z_proj"]')
