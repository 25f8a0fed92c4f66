import json
from pathlib import Path

import pytest

from paperlora.errors import InputError
from paperlora.pipeline.model import tiny
from paperlora.pipeline.train import plan

E4B = plan.Shape()
GIB = plan.GIB
CARD = int(7.3 * GIB)


def test_the_sizes_are_those_of_the_published_model():
    assert plan.trainable(E4B, 8) == 18_595_840  # as peft counts them
    assert plan.weights_bytes(E4B) / GIB == pytest.approx(2.90, abs=0.01)
    assert plan.table_bytes(E4B) / GIB == 4.375


def test_a_configuration_is_read():
    config = tiny.configuration().to_dict()
    found = plan.shape({"text_config": config})
    assert (found.num_hidden_layers, found.num_kv_shared_layers) == (4, 2)
    assert (found.intermediate_size, found.altup_num_inputs) == (128, 2)
    assert plan.shape(config) == found
    assert plan.shape(config, itemsize=4).itemsize == 4


def test_a_large_gpu_keeps_and_a_small_one_recomputes_or_offloads():
    large = plan.choose(E4B, 1024, 80 * GIB, rank=8)
    assert (large.activations, large.table_on_host) == ("keep", False)
    small = plan.choose(E4B, 1024, CARD, rank=8)
    assert (small.activations, small.table_on_host) == ("recompute", True)
    assert "4." in small.reason
    assert plan.choose(E4B, 4096, 6 * GIB, rank=8).activations == "offload"


def test_a_chosen_way_is_followed_where_it_fits():
    assert plan.choose(E4B, 1024, CARD, wanted="offload", rank=8).activations == "offload"
    with pytest.raises(InputError, match="keep"):
        plan.choose(E4B, 1024, CARD, wanted="keep", rank=8)


def test_a_plan_that_does_not_fit_is_refused_with_one_that_does():
    with pytest.raises(InputError) as caught:
        plan.choose(E4B, 32_768, CARD, rank=8)
    length = int(str(caught.value).split("model.max_length=")[1].split(",")[0])
    assert plan.choose(E4B, length, CARD, rank=8).activations == "offload"
    with pytest.raises(InputError):
        plan.choose(E4B, length + 64, CARD, rank=8)
    with pytest.raises(InputError, match="GPU with"):
        plan.choose(E4B, 64, GIB, rank=8)


def test_each_saving_lowers_the_peak():
    least, middle, most = (
        plan.peak(E4B, 1024, kind, rank=8) for kind in ("offload", "recompute", "keep")
    )
    assert least < middle < most
    assert plan.peak(E4B, 1024, "keep", rank=8, eight_bit=False) > most
    assert plan.peak(
        E4B, 1024, "recompute", rank=8, table_on_host=False
    ) - middle == plan.table_bytes(E4B)


def test_the_table_of_doctor_has_each_length_and_way():
    found = plan.fits()
    assert len(found) == len(plan.LENGTHS) * len(plan.ACTIVATIONS)
    assert all(3 * GIB < one.gpu_bytes < 40 * GIB for one in found)


def test_the_plan_is_within_a_tenth_of_the_measurement():
    """tests/bench/gemma3n.py measured the peaks, on the GPU that its file names."""
    rows = json.loads((Path(__file__).parents[2] / "bench" / "measured.json").read_text())["peaks"]
    assert len(rows) >= 6
    for row in rows:
        found = plan.peak(
            E4B, row["tokens"], row["activations"], rank=8, chunk=row["chunk"],
            table_on_host=row["table"] == "host",
        )  # fmt: skip
        without = found - 2 * plan.trainable(E4B, 8)  # the bench has no optimiser
        assert without / GIB == pytest.approx(row["allocated"], rel=0.1)
