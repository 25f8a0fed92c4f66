"""Gemma 3n's table of per-layer embeddings, kept on the host.

Where it stands: ``reader`` puts it into the model; ``step.fill`` looks up the rows of a training row, and
transformers calls ``forward`` when the model generates. It mirrors ``Gemma3nTextScaledWordEmbedding``.

The table has a third of the model's parameters (2.35 of 6.9 billion), and a token reads one row of
it. It stays mapped from its file, so it takes no GPU memory, and host memory for the rows in use alone.
"""

from __future__ import annotations

from typing import Any

import torch

Tensor = torch.Tensor


class HostEmbedding(torch.nn.Module):
    """Replaces an embedding whose ``table`` [vocabulary, width] stays where it is."""

    def __init__(
        self, table: Tensor, scale: float, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Store ``table``; its rows go to ``device`` in ``dtype``, multiplied by ``scale``."""
        super().__init__()
        # A tuple hides the table from the module, so that nothing moves or converts it.
        self.table = (table,)
        self.factor = torch.tensor(scale, dtype=dtype, device=device)
        self.staging: list[tuple[Tensor, torch.cuda.Event]] = []

    @property
    def device(self) -> torch.device:
        """The device that the rows go to."""
        return self.factor.device

    def look_up(self, ids: Tensor, out: Tensor) -> None:
        """Fill ``out`` [T, width] with the scaled rows of ``ids`` [T], a tensor on the host."""
        (table,) = self.table
        if self.device.type != "cuda" or table.is_cuda:
            out.copy_(table[ids.to(table.device)])
        else:
            staging, copied = self._staging(len(ids), table)
            torch.index_select(table, 0, ids, out=staging)
            out.copy_(staging, non_blocking=True)
            copied.record()
        out.mul_(self.factor)

    def _staging(self, tokens: int, table: Tensor) -> tuple[Tensor, torch.cuda.Event]:
        """Return pinned memory that no copy still reads, and the event to record after the next copy.

        Two buffers alternate, so that the host looks up the next rows while the GPU works on these.
        """
        if len(self.staging) < 2 or len(self.staging[0][0]) < tokens:
            buffer = torch.empty(tokens, table.shape[1], dtype=table.dtype).pin_memory()
            self.staging = [*self.staging[-1:], (buffer, torch.cuda.Event())]
        else:
            self.staging.reverse()
        buffer, copied = self.staging[-1]
        copied.synchronize()
        return buffer[:tokens], copied

    def forward(self, ids: Tensor) -> Any:  # noqa: ANN401 - a tensor, as torch types it
        """Return the scaled rows of ``ids`` [*], [*, width], on the model's device."""
        (table,) = self.table
        rows = torch.index_select(table, 0, ids.reshape(-1).to(table.device))
        rows = rows.to(self.device, self.factor.dtype)
        return (rows * self.factor).view(*ids.shape, table.shape[1])
