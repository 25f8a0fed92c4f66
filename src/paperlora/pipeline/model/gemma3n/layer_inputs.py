"""Keeps the inputs of the layers on the host between the forward and the backward pass.

Where it stands: ``step.run`` appends each layer's input and pops them in reverse order, when a layer keeps
nothing else: in an ``OnHost`` with ``offload``, else in a list. An input is the streams [S, T, H] in the
compute dtype.
"""

from __future__ import annotations

import torch

Tensor = torch.Tensor


class OnHost:
    """A list of tensors that copies each to pinned memory while the next layer runs, and back before its use.

    The copies run on a stream of their own. A CUDA graph that captures the computation captures them too.
    """

    def __init__(self, buffers: list[Tensor], device: torch.device) -> None:
        """Use ``buffers``, one pinned tensor [S, T, H] for each layer."""
        self.buffers = buffers
        self.stream = torch.cuda.Stream(device)
        self.leaving: Tensor | None = None
        self.count = 0
        self.back: list[Tensor] = []

    def append(self, h: Tensor) -> None:
        """Start to copy ``h``, and wait for the copy before it, which had the time of a whole layer."""
        if self.leaving is not None:
            self._left()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.buffers[self.count].copy_(h, non_blocking=True)
        self.leaving = h  # a reference: its memory must not be used again before the copy ends
        self.count += 1

    def _left(self) -> None:
        torch.cuda.current_stream().wait_stream(self.stream)
        self.leaving = None

    def turn(self) -> None:
        """Wait for the last copy, and start to fetch the last input: no more will be appended."""
        last = self.leaving
        assert last is not None  # noqa: S101 - a model has layers
        self._left()
        self.back = [torch.empty_like(last), torch.empty_like(last)]
        self._fetch(self.count - 1)

    def _fetch(self, index: int) -> None:
        if index < 0:
            return
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.back[index % 2].copy_(self.buffers[index], non_blocking=True)

    def pop(self) -> Tensor:
        """Return the last input and start to fetch the one before.

        The result is valid until the next ``pop``.
        """
        self.count -= 1
        torch.cuda.current_stream().wait_stream(self.stream)
        self._fetch(self.count - 1)
        return self.back[self.count % 2]
