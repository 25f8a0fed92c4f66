import pytest
import torch
from tiny_step import adapted, by_step, by_stock, examples, furthest

from paperlora.pipeline.model.gemma3n import fused, packing, plain

SIZES = [(120, 40), (60, 20), (30, 9), (100, 50)]


@pytest.fixture(scope="module")
def wrapped():
    return adapted()[1]


@pytest.fixture(scope="module")
def stock(wrapped):
    return by_stock(wrapped, examples(*SIZES))


@pytest.mark.parametrize("activations", ["recompute", "keep"])
def test_packed_rows_give_the_loss_and_the_gradients_of_stock_code(wrapped, stock, activations):
    loss, gradients = by_step(wrapped, examples(*SIZES), ops=plain, activations=activations)
    assert loss == pytest.approx(stock[0], rel=1e-6)
    assert furthest(gradients, stock[1]) < 1e-4


def test_keeping_and_recomputing_give_the_same_bits(wrapped):
    one = by_step(wrapped, examples(*SIZES), ops=plain, activations="recompute")
    other = by_step(wrapped, examples(*SIZES), ops=plain, activations="keep")
    assert one[0] == other[0]
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


@pytest.mark.parametrize("chunk", [7, 256])
def test_the_loss_may_be_computed_in_chunks_of_any_size(wrapped, stock, chunk):
    loss, gradients = by_step(wrapped, examples(*SIZES), ops=plain, chunk=chunk)
    assert loss == pytest.approx(stock[0], rel=1e-6)
    assert furthest(gradients, stock[1]) < 1e-4


@pytest.mark.slow
def test_fused_kernels_give_the_gradients_of_stock_code(wrapped):
    """Without a GPU, Triton interprets its kernels: the same arithmetic, in numpy."""
    found = examples((30, 12), (14, 6))
    loss, gradients = by_stock(wrapped, found)
    ours = by_step(wrapped, found, ops=fused, longest=64)
    assert ours[0] == pytest.approx(loss, rel=1e-5)
    assert furthest(ours[1], gradients) < 1e-4


def test_a_row_without_bounds_between_its_examples_is_noticed(wrapped, stock, monkeypatch):
    """The control: examples that see each other have other gradients."""
    real = packing.pack

    def merged(*arguments):
        rows = real(*arguments)
        return [
            packing.Row(
                ids=row.ids,
                positions=row.positions,
                starts=[0] * len(row.ids),
                ends=[len(row.ids)] * len(row.ids),
                labels=row.labels,
            )
            for row in rows
        ]

    monkeypatch.setattr(packing, "pack", merged)
    _, gradients = by_step(wrapped, examples(*SIZES), ops=plain)
    assert furthest(gradients, stock[1]) > 1e-2


def test_missing_gradients_of_shared_keys_are_noticed(wrapped, stock, monkeypatch):
    """The control: without the part of later layers, the gradients of shared keys and values differ."""
    from paperlora.pipeline.model.gemma3n import layer

    monkeypatch.setattr(layer, "_add_kv_gradients", lambda *_: None)
    _, gradients = by_step(wrapped, examples(*SIZES), ops=plain)
    assert furthest(gradients, stock[1]) > 1e-2


def test_another_cap_of_the_logits_is_noticed(wrapped, stock, monkeypatch):
    real = plain.cross_entropy
    monkeypatch.setattr(
        plain,
        "cross_entropy",
        lambda logits, labels, _cap, *rest: real(logits, labels, 0.01, *rest),
    )
    _, gradients = by_step(wrapped, examples(*SIZES), ops=plain)
    assert furthest(gradients, stock[1]) > 1e-2
