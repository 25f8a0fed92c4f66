"""Matrix products with 4-bit weights and their adapters, forward and backward.

``ops`` is ``plain`` or ``fused``, whose ``expand`` unpacks a matrix just before its product; the matrix is
freed after it. Tensors are in the compute dtype; gradients of adapters are added in float32. T: tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from paperlora.pipeline.model.gemma3n.parameters import Group

Tensor = torch.Tensor


def input_buffer(group: Group, tokens: int, like: Tensor) -> Tensor:
    """Return an input for ``group``, [T, columns + extra]; the caller fills the first ``columns``."""
    buffer = like.new_empty(tokens, group.columns + group.extra)
    # The matrix is zero there, but zero times an uninitialised NaN would be NaN.
    buffer[:, group.columns + group.ranks :] = 0
    return buffer


def expand(ops: Any, group: Group, like: Tensor) -> Tensor:  # noqa: ANN401 - plain or fused
    """Return the unpacked matrix [rows, columns + extra] of a group, in the dtype of ``like``."""
    matrix = like.new_empty(group.rows, group.columns + group.extra)
    row, place = 0, 0
    for member in group.members:
        ops.expand(member, matrix[row : row + member.rows], place)
        row += member.rows
        place += len(member.adapter.a) if member.adapter else 0
    return matrix


def forward(ops: Any, group: Group, x: Tensor) -> Tensor:  # noqa: ANN401
    """Return [T, rows], the members' outputs side by side; fill the extra columns of ``x`` with x A^T.

    ``x`` is [T, columns + extra], from ``input_buffer`` if the group has adapters.
    """
    if group.a is not None:
        low = x[:, group.columns : group.columns + group.ranks]
        low.copy_(x[:, : group.columns] @ group.a.T)
    return x @ expand(ops, group, x).T


def backward(ops: Any, group: Group, dy: Tensor, x: Tensor | None = None) -> Tensor:  # noqa: ANN401
    """Return the gradient of the input, [T, columns] (a view), given ``dy`` [T, rows].

    Add to the gradients of the adapters, for which ``x`` must be the input as ``forward`` left it.
    """
    columns, ranks = group.columns, group.ranks
    wide = dy @ expand(ops, group, dy)
    dx = wide[:, :columns]
    if x is None or group.a is None or group.a_gradient is None:
        return dx
    # The extra columns of the gradient are those of x A^T: dy B, already scaled.
    low = wide[:, columns : columns + ranks]
    dx.addmm_(low, group.a)
    _add_product(group.a_gradient, low.T, x[:, :columns])
    row, place = 0, 0
    for member in group.members:
        if member.adapter:
            rank = len(member.adapter.a)
            begin = columns + place
            projected = x[:, begin : begin + rank]
            dout = dy[:, row : row + member.rows]
            _add_product(member.adapter.b_gradient, dout.T, projected, member.adapter.scale)
            place += rank
        row += member.rows
    return dx


def _add_product(total: Tensor, left: Tensor, right: Tensor, scale: float = 1.0) -> None:
    """Add scale * left @ right to the float32 ``total``."""
    if left.dtype == total.dtype:
        total.addmm_(left, right, alpha=scale)
    else:  # addmm_ takes one dtype only
        total.add_(torch.mm(left, right), alpha=scale)
