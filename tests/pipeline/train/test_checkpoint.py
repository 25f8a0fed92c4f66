import pytest
import torch

from paperlora.errors import DataError
from paperlora.pipeline.train import checkpoint


def net():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 1))
    model[0].requires_grad_(requires_grad=False)
    return model, torch.optim.AdamW(checkpoint.trainable(model).values(), lr=0.1)


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.rand(5, 3)).square().mean().backward()
    optimizer.step()


def test_a_resumed_training_equals_one_without_an_interruption(tmp_path):
    path = tmp_path / "deep" / "last.safetensors"
    model, optimizer = net()
    step(model, optimizer)
    best = {name: p.detach().clone() for name, p in checkpoint.trainable(model).items()}
    checkpoint.save(path, model=model, optimizer=optimizer, best=best,
                    rng=checkpoint.random_state(), counters={"step": 1})  # fmt: skip
    step(model, optimizer)

    other, other_optimizer = net()
    assert checkpoint.counters(path) == {"step": 1}
    restored = checkpoint.restore(path, model=other, optimizer=other_optimizer)
    assert all(torch.equal(restored[name], best[name]) for name in best)
    step(other, other_optimizer)
    for name, parameter in checkpoint.trainable(model).items():
        assert torch.equal(parameter, checkpoint.trainable(other)[name])
    assert [file.name for file in path.parent.iterdir()] == ["last.safetensors"]


def test_without_the_moments_the_next_step_differs(tmp_path):
    """The control: a checkpoint of the weights alone is not enough."""
    model, optimizer = net()
    step(model, optimizer)
    state = {name: p.detach().clone() for name, p in checkpoint.trainable(model).items()}
    rng = torch.get_rng_state()
    step(model, optimizer)
    other, other_optimizer = net()
    for name, parameter in checkpoint.trainable(other).items():
        parameter.data.copy_(state[name])
    torch.set_rng_state(rng)
    step(other, other_optimizer)
    assert any(
        not torch.equal(parameter, checkpoint.trainable(other)[name])
        for name, parameter in checkpoint.trainable(model).items()
    )


def test_a_missing_checkpoint_is_none_and_a_damaged_one_an_error(tmp_path):
    assert checkpoint.counters(tmp_path / "none") is None
    bad = tmp_path / "bad"
    bad.write_bytes(b"\x80\x04pickle")
    with pytest.raises(DataError, match="damaged"):
        checkpoint.counters(bad)
