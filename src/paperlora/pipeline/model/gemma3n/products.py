"""Products with packed matrices and their adapters, forward and backward.

A matrix is unpacked just before its product and dropped after it. The sums of an adapter's
gradients go straight into its float32 gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from paperlora.pipeline.model.gemma3n.parameters import Group, Projection

Tensor = torch.Tensor


def input_buffer(group: Group, tokens: int, like: Tensor) -> Tensor:
    """Return an input for ``group``, [tokens, columns + extra]; the caller fills the columns."""
    made = like.new_empty(tokens, group.columns + group.extra)
    made[:, group.columns + group.ranks :] = 0  # multiplied by nought, so it must be a number
    return made


def _expanded(ops: Any, group: Group, like: Tensor) -> Tensor:  # noqa: ANN401 - plain or fused
    matrix = like.new_empty(group.rows, group.columns + group.extra)
    row, place = 0, 0
    for member in group.members:
        ops.expand(member, matrix[row : row + member.rows], place)
        row += member.rows
        place += len(member.adapter.a) if member.adapter else 0
    return matrix


def forward(ops: Any, group: Group, x: Tensor) -> Tensor:  # noqa: ANN401
    """Return [T, rows], the members' outputs side by side; fills the extra columns of ``x``."""
    if group.a is not None:
        low = x[:, group.columns : group.columns + group.ranks]
        low.copy_(x[:, : group.columns] @ group.a.T)
    return x @ _expanded(ops, group, x).T


def backward(ops: Any, group: Group, x: Tensor, dy: Tensor) -> Tensor:  # noqa: ANN401
    """Add to the adapters' gradients and return that of the input, [T, columns] (a view)."""
    columns, ranks = group.columns, group.ranks
    wide = dy @ _expanded(ops, group, x)
    dx = wide[:, :columns]
    if group.a is None or group.a_gradient is None:
        return dx
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
    """Add scale * left right to the float32 ``total``."""
    if left.dtype == total.dtype:
        total.addmm_(left, right, alpha=scale)
    else:
        total.add_(torch.mm(left, right), alpha=scale)


def plain_forward(ops: Any, one: Projection, x: Tensor) -> Tensor:  # noqa: ANN401
    """Return x W^T for a projection without an adapter."""
    return x @ _matrix(ops, one, x).T


def plain_backward(ops: Any, one: Projection, dy: Tensor) -> Tensor:  # noqa: ANN401
    """Return dy W."""
    return dy @ _matrix(ops, one, dy)


def _matrix(ops: Any, one: Projection, like: Tensor) -> Tensor:  # noqa: ANN401
    matrix = like.new_empty(one.rows, one.columns)
    ops.expand(one, matrix, 0)
    return matrix
