import torch

from paperlora.pipeline.train import memory


def test_a_block_counts_while_it_exists_and_in_the_peak_afterwards():
    size = 200 * 2**20
    before = memory.now()["host_bytes"]
    block = bytearray(b"x") * size
    held = memory.now()["host_bytes"]
    assert held - before > 0.9 * size
    del block
    assert memory.now()["host_bytes"] < held - 0.5 * size
    # the kernel counts pages in batches, so the two may differ a little
    assert memory.peak()["host_bytes"] >= 0.99 * held


def test_without_a_gpu_its_figures_are_none_not_zero():
    unknown = not torch.cuda.is_available()
    for figures in (memory.now(), memory.peak()):
        assert (figures["gpu_allocated_bytes"] is None) is unknown
