"""Gemma 3n's table of per-layer embeddings, left on the host.

It is a third of the model (2.35 of 6.9 billion parameters) and a token reads one row of it. Left as
the file has it, mapped into memory, it takes neither GPU memory nor, but for the rows in use, the host's.
"""

from __future__ import annotations

from typing import Any

import torch

Tensor = torch.Tensor


class HostEmbedding(torch.nn.Module):
    """Stands in for an embedding whose ``table`` [vocabulary, width] stays where it is."""

    def __init__(
        self, table: Tensor, scale: float, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Keep ``table`` out of the module's parameters, so that nothing moves or converts it."""
        super().__init__()
        self.table = (table,)
        self.factor = torch.tensor(scale, dtype=dtype, device=device)
        self.staging: list[tuple[Tensor, torch.cuda.Event]] = []

    @property
    def device(self) -> torch.device:
        """Where the rows go."""
        return self.factor.device

    def look_up(self, ids: Tensor, out: Tensor) -> None:
        """Write the scaled rows of ``ids`` (on the host) into ``out`` [T, width]."""
        (table,) = self.table
        if self.device.type != "cuda" or table.is_cuda:
            out.copy_(table[ids.to(table.device)])
        else:
            staging, left = self._room(len(ids), table)
            torch.index_select(table, 0, ids, out=staging)
            out.copy_(staging, non_blocking=True)
            left.record()
        out.mul_(self.factor)

    def _room(self, tokens: int, table: Tensor) -> tuple[Tensor, torch.cuda.Event]:
        """Return pinned memory that no copy still reads, and the event to record after the next one.

        There are two in turn, so that the next row is looked up while the GPU works on this one.
        """
        if len(self.staging) < 2 or len(self.staging[0][0]) < tokens:
            room = torch.empty(tokens, table.shape[1], dtype=table.dtype).pin_memory()
            self.staging = [*self.staging[-1:], (room, torch.cuda.Event())]
        else:
            self.staging.reverse()
        room, left = self.staging[-1]
        left.synchronize()
        return room[:tokens], left

    def forward(self, ids: Tensor) -> Any:  # noqa: ANN401 - a tensor, as torch types it
        """Return the scaled rows, [*, width], on the model's device."""
        (table,) = self.table
        rows = torch.index_select(table, 0, ids.reshape(-1).to(table.device))
        rows = rows.to(self.device, self.factor.dtype)
        return (rows * self.factor).view(*ids.shape, table.shape[1])
