"""Runs rows through the step, captured as CUDA graphs where that is possible.

In eager mode the GPU waits for Python most of the time: a step is thousands of short kernels. The
first row of a length runs as it is, which compiles the kernels; the second is captured, and from
then on the step is one launch. All graphs share one pool of memory, so the longest decides its size.
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
    """A model that is ready to take rows; ``seconds`` is what compiling and capturing took."""

    model: Model
    capture: bool
    seconds: float = 0.0
    rooms: dict[int, Inputs] = field(default_factory=dict)
    warm: set[int] = field(default_factory=set)
    graphs: dict[int, tuple[torch.cuda.CUDAGraph, torch.Tensor]] = field(default_factory=dict)
    pool: Any = None

    def train(self, row: Row, scale: float) -> torch.Tensor:
        """Add the gradient of a row's loss times ``scale``; return the loss (nats, summed), a scalar."""
        given, length = self._given(row, scale), len(row.ids)
        if length in self.graphs:
            graph, loss = self.graphs[length]
            graph.replay()
            return loss.clone()
        began = time.perf_counter()
        if length not in self.warm or not self.capture:
            loss = step.run(self.model, given, train=True)
            if length not in self.warm and loss.is_cuda:
                torch.cuda.synchronize()
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
        graph.replay()
        return loss.clone()

    def loss(self, row: Row) -> torch.Tensor:
        """Return the summed loss of a row, in nats."""
        return step.run(self.model, self._given(row, 0.0), train=False)

    def _given(self, row: Row, scale: float) -> Inputs:
        """Return the row on the device, in the tensors that all rows of its length share."""
        length = len(row.ids)
        if length not in self.rooms:
            self.rooms[length] = step.inputs(self.model, length)
        step.fill(self.model, self.rooms[length], row, scale)
        return self.rooms[length]
