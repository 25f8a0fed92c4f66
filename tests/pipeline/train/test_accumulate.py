import pytest
import torch
from made_up import tiny_config

from paperlora.errors import InputError
from paperlora.pipeline.model import adapter, load, store
from paperlora.pipeline.train import accumulate


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("memory.step=fused", "adapter.dropout=0.1"), "has no adapter.dropout"),
        (("memory.step=fused",), "there is no GPU"),
    ],
)
def test_an_impossible_step_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        accumulate.check(tiny_config(*settings), "cpu")
    accumulate.check(tiny_config(), "cpu")


@pytest.mark.parametrize(
    ("setting", "step"), [("memory.step=stock", "stock"), ("memory.step=auto", "plain")]
)
def test_the_step_is_named(setting, step):
    config = tiny_config(setting)
    loaded = load.load(store.obtain("tiny-gemma-3n"), config.model, torch.device("cpu"))
    tuned = adapter.add_adapter(loaded, config.adapter, config.train)
    assert accumulate.make(loaded, tuned, config, None).describe()["step"] == step
