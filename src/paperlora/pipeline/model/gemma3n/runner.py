"""Runs rows through the step, and replays the step as a CUDA graph where there is a GPU.

A step is thousands of short kernels: launched one by one, the GPU waits for Python most of the time. The
first row of a length runs without a graph, which compiles the kernels; the second is captured; from the
third on, the step is one launch. All graphs share one pool of memory.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from paperlora.pipeline.model.gemma3n import step

if TYPE_CHECKING:
    from paperlora.pipeline.model.gemma3n.packing import Row
    from paperlora.pipeline.model.gemma3n.step import Inputs, Model


@dataclass(kw_only=True)
class Runner:
    """Takes rows for one model. Its dictionaries are by the length of a row."""

    model: Model
    capture: bool
    """Whether to use CUDA graphs."""
    seconds: float = 0.0
    """The time that compiling and capturing took."""
    inputs: dict[int, Inputs] = field(default_factory=dict)
    warm: set[int] = field(default_factory=set)
    """The lengths whose kernels are compiled."""
    graphs: dict[int, tuple[torch.cuda.CUDAGraph, torch.Tensor]] = field(default_factory=dict)
    """The captured step, and the loss that it writes."""
    pool: Any = None

    def train(self, row: Row, scale: float) -> torch.Tensor:
        """Return the summed loss of a row (nats, a float32 scalar); add ``scale`` times its gradients."""
        given, length = self._given(row, scale), len(row.ids)
        if length in self.graphs:
            graph, loss = self.graphs[length]
            graph.replay()
            return loss.clone()  # the next replay overwrites it
        began = time.perf_counter()
        if length not in self.warm or not self.capture:
            loss = step.run(self.model, given, train=True)
            if length not in self.warm and loss.is_cuda:
                torch.cuda.synchronize()
                # The graph's pool is separate: without this, memory of the first run would stay reserved.
                torch.cuda.empty_cache()
                self.seconds += time.perf_counter() - began
            self.warm.add(length)
            return loss
        graph = torch.cuda.CUDAGraph()
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        with torch.cuda.graph(graph, pool=self.pool):
            loss = step.run(self.model, given, train=True)
        self.graphs[length] = graph, loss
        self.seconds += time.perf_counter() - began
        graph.replay()  # the capture itself computes nothing
        return loss.clone()

    def loss(self, row: Row) -> torch.Tensor:
        """Return the summed loss of a row (nats, a float32 scalar), without gradients."""
        return step.run(self.model, self._given(row, 0.0), train=False)

    def _given(self, row: Row, scale: float) -> Inputs:
        """Return the row on the device: a graph needs the same tensors for all rows of a length."""
        length = len(row.ids)
        if length not in self.inputs:
            self.inputs[length] = step.inputs(self.model, length)
        step.fill(self.model, self.inputs[length], row, scale)
        return self.inputs[length]
