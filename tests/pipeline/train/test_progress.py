import torch

from paperlora.pipeline.train import progress


def test_a_block_counts_while_it_exists_and_in_the_peak_afterwards():
    size = 200 * 2**20
    before = progress.memory_now()["host_bytes"]
    block = bytearray(b"x") * size
    held = progress.memory_now()["host_bytes"]
    assert held - before > 0.9 * size
    del block
    assert progress.memory_now()["host_bytes"] < held - 0.5 * size
    # the kernel counts pages in batches, so the two may differ a little
    assert progress.memory_peak()["host_bytes"] >= 0.99 * held


def test_without_a_gpu_its_figures_are_none_not_zero():
    unknown = not torch.cuda.is_available()
    for figures in (progress.memory_now(), progress.memory_peak()):
        assert (figures["gpu_allocated_bytes"] is None) is unknown
