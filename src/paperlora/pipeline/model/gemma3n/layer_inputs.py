"""The layers' inputs between the forward and the backward half: on the GPU, or parked on the host."""

from __future__ import annotations

import torch

Tensor = torch.Tensor


class OnDevice:
    """Keeps each layer's input where it is."""

    def __init__(self) -> None:
        """Start with none."""
        self.held: list[Tensor] = []

    def put(self, h: Tensor) -> None:
        """Take the input of the next layer."""
        self.held.append(h)

    def done(self) -> None:
        """All inputs were put."""

    def take(self) -> Tensor:
        """Give back the last input that was not yet given back."""
        return self.held.pop()


class OnHost:
    """Copies each input to pinned memory beside the computation, and back a layer ahead of its use.

    A stream of its own carries the copies; whoever captures the computation captures them with it.
    """

    def __init__(self, rooms: list[Tensor], device: torch.device) -> None:
        """Use ``rooms``, one pinned tensor a layer."""
        self.rooms = rooms
        self.stream = torch.cuda.Stream(device)
        self.leaving: Tensor | None = None
        self.count = 0
        self.back: list[Tensor] = []

    def put(self, h: Tensor) -> None:
        """Start to copy ``h``; the copy of the one before has had a layer's time, and is waited for."""
        if self.leaving is not None:
            self._left()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.rooms[self.count].copy_(h, non_blocking=True)
        self.leaving = h
        self.count += 1

    def _left(self) -> None:
        torch.cuda.current_stream().wait_stream(self.stream)
        self.leaving = None

    def done(self) -> None:
        """Wait for the last copy, and start to fetch the last two inputs."""
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
            self.back[index % 2].copy_(self.rooms[index], non_blocking=True)

    def take(self) -> Tensor:
        """Give back the last input; its memory is used again two layers on."""
        self.count -= 1
        torch.cuda.current_stream().wait_stream(self.stream)
        self._fetch(self.count - 1)
        return self.back[self.count % 2]
