"""One decoder layer of Gemma 3n, its forward and its backward pass written out.

The order of operations is that of transformers' ``Gemma3nTextDecoderLayer.forward``. Only
adapters train, so the backward pass computes the gradients of activations and adapters alone; written
out, it frees each tensor as soon as it can, which autograd does not. Tensors are in the compute dtype;
shapes use the letters of ``plain``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from paperlora.pipeline.model.gemma3n import products

if TYPE_CHECKING:
    from paperlora.pipeline.model.gemma3n.parameters import Layer

Tensor = torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Context:
    """What all layers of one pass share."""

    ops: Any
    """``plain`` or ``fused``."""
    rotary: dict[bool, tuple[Tensor, Tensor]]
    """Cosines and sines of the positions, [T, D / 2] in float32, by ``Layer.sliding``."""
    bounds: tuple[Tensor, Tensor]
    """The start and the end of each token's example, [T] each."""
    windows: dict[bool, int]
    """How many tokens a token attends to at most, itself included, by ``Layer.sliding``."""
    embeddings: Tensor
    """The per-layer inputs, [T, layers, P]."""
    kv: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Keys and values [kv heads, T, D] that later layers attend to, by the layer that made them."""
    kv_gradients: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Their gradients from those later layers, summed in float32."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The activations that the backward pass reads, [T, width] unless a comment gives another shape."""

    h: Tensor  # the layer's input streams, [S, T, H]
    p: Tensor  # AltUp's predictions, [S, T, H]
    x: Tensor  # the normed active prediction, input of `first`
    first: Tensor  # LAuReL's left half, queries, keys and values side by side
    heads: tuple[Tensor, Tensor, Tensor]  # queries, keys and values, [heads, T, D] each
    attention: tuple[Tensor, Tensor | None]  # what `attend` returned, [heads, T, D] and [heads, T]
    mixed: Tensor  # the same, heads side by side, input of `o`
    o: Tensor  # attention's output
    low: Tensor  # LAuReL's output before its norm
    a: Tensor  # attention and LAuReL combined
    f: Tensor  # the same, normed, input of `gate_up`
    gate_up: Tensor  # the MLP's gate and up halves, [T, 2 I]
    inner: Tensor  # the MLP's activation, input of `down`
    m: Tensor  # the MLP's output before its norm
    g: Tensor  # the per-layer gate, [T, P]
    y: Tensor  # the per-layer projection before its norm


def forward(
    context: Context, layer: Layer, h: Tensor, *, save: bool, result: bool = True
) -> tuple[Tensor | None, Saved | None]:
    """Return the streams after the layer [S, T, H] if ``result``, and the activations if ``save``.

    ``h`` [S, T, H] is not changed. A recomputation needs the activations alone: ``result=False``.
    Adds the layer's keys and values to ``context.kv`` if later layers share them.
    """
    ops, tokens = context.ops, h.shape[1]
    x = products.input_buffer(layer.first, tokens, h)
    p = ops.predict(layer, h, x[:, : layer.first.columns])
    first = products.forward(ops, layer.first, x)
    low = products.forward(ops, layer.laurel, _columns(layer, first)[0])
    mixed = products.input_buffer(layer.o, tokens, h)
    heads = _heads(context, layer, first)
    attention = ops.attend(*heads, context.bounds, context.windows[layer.sliding])
    heads_apart = mixed[:, : layer.o.columns].unflatten(1, (len(heads[0]), -1))
    heads_apart.copy_(attention[0].transpose(0, 1))
    o = products.forward(ops, layer.o, mixed)
    f = products.input_buffer(layer.gate_up, tokens, h)
    a = ops.combine(layer, o, p[0], x[:, : layer.first.columns], low, f[:, : layer.gate_up.columns])
    gate_up = products.forward(ops, layer.gate_up, f)
    inner = products.input_buffer(layer.down, tokens, h)
    ops.activate(gate_up, layer.cutoff, inner[:, : layer.down.columns])
    if not save:  # the widest tensors of the layer: free them before the next product needs room
        del gate_up, f
    m = products.forward(ops, layer.down, inner)
    if not save:
        del inner
    q, u = ops.correct(layer, a, m, p, keep=result)
    g = products.forward(ops, layer.ple_gate, u)
    z = ops.gate_ple(g, context.embeddings[:, layer.index])
    y = products.forward(ops, layer.ple_projection, z)
    if result:
        ops.add_ple(layer, q, y)
    if not save:
        return q, None
    kept = Saved(
        h=h, p=p, x=x, first=first, heads=heads, attention=attention, mixed=mixed, o=o, low=low, a=a, f=f,
        gate_up=gate_up, inner=inner, m=m, g=g, y=y,
    )  # fmt: skip
    return q, kept


def backward(context: Context, layer: Layer, saved: Saved, dq: Tensor) -> Tensor:
    """Return the gradient of the layer's input [S, T, H], given ``dq``, that of its result [S, T, H].

    Adds to the gradients of the adapters, and overwrites ``dq`` and parts of ``saved``.
    """
    ops, s = context.ops, saved
    dy = ops.add_ple_backward(layer, s.y, dq)
    dz = products.backward(ops, layer.ple_projection, dy)
    dg = ops.gate_ple_backward(s.g, context.embeddings[:, layer.index], dz)
    du = products.backward(ops, layer.ple_gate, dg)
    da, dm = ops.correct_backward(layer, s.a, s.m, s.p, dq, du)
    dinner = products.backward(ops, layer.down, dm, s.inner)
    ops.activate_backward(s.gate_up, layer.cutoff, dinner)  # s.gate_up now holds its gradient
    del dinner
    df = products.backward(ops, layer.gate_up, s.gate_up, s.f)
    do, dlow, skip = ops.combine_backward(layer, s.o, s.low, s.a, da, df)
    dfirst = torch.empty_like(s.first)
    _columns(layer, dfirst)[0].copy_(products.backward(ops, layer.laurel, dlow))
    dmixed = products.backward(ops, layer.o, do, s.mixed)
    _attend_backward(context, layer, s, dmixed, dfirst)
    dx = products.backward(ops, layer.first, dfirst, s.x)
    dh: Tensor = ops.predict_backward(layer, s.h, dq, skip, dx)
    return dh


def _columns(layer: Layer, first: Tensor) -> list[Tensor]:
    """Return views of ``first``: LAuReL's left half, queries and, unless shared, keys and values."""
    return list(first.split([member.rows for member in layer.first.members], 1))


def _heads(context: Context, layer: Layer, first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries [heads, T, D], keys and values [kv heads, T, D].

    Mirrors the first half of ``Gemma3nTextAttention.forward``.
    """
    ops, rotary, head_dim = context.ops, context.rotary[layer.sliding], len(layer.q_norm)
    _, query, *own = _columns(layer, first)
    q = ops.rotate(query, layer.q_norm, layer.eps, rotary, query.shape[1] // head_dim)
    if not own:
        return q, *context.kv[layer.source]
    kv_heads = own[0].shape[1] // head_dim
    k = ops.rotate(own[0], layer.k_norm, layer.eps, rotary, kv_heads)
    v = ops.rotate(own[1], None, layer.eps, None, kv_heads)
    if layer.stores:
        context.kv[layer.index] = k, v
    return q, k, v


def _attend_backward(
    context: Context, layer: Layer, saved: Saved, dmixed: Tensor, dfirst: Tensor
) -> None:
    """Fill the columns of queries, keys and values in ``dfirst`` with their gradients, given ``dmixed``."""
    ops, rotary = context.ops, context.rotary[layer.sliding]
    dout = dmixed.unflatten(1, (len(saved.heads[0]), -1)).transpose(0, 1)
    dq, dk, dv = ops.attend_backward(
        saved.heads, context.bounds, context.windows[layer.sliding], saved.attention, dout
    )
    _, query, *own = _columns(layer, saved.first)
    _, dquery, *down = _columns(layer, dfirst)
    ops.rotate_backward(query, layer.q_norm, layer.eps, rotary, dq, dquery)
    if not own:
        _add_kv_gradients(context, layer.source, dk, dv)
        return
    borrowed = context.kv_gradients.pop(layer.index, None)
    if borrowed is not None:
        dk, dv = (
            mine + later.to(mine.dtype) for mine, later in zip((dk, dv), borrowed, strict=True)
        )
    ops.rotate_backward(own[0], layer.k_norm, layer.eps, rotary, dk, down[0])
    ops.rotate_backward(own[1], None, layer.eps, None, dv, down[1])


def _add_kv_gradients(context: Context, source: int, dk: Tensor, dv: Tensor) -> None:
    """Add to the gradients of the keys and values that a layer shares with layer ``source``.

    Several layers share them, hence float32; the source layer's own backward pass comes later and reads it.
    """
    if source not in context.kv_gradients:
        context.kv_gradients[source] = dk.float(), dv.float()
        return
    for total, part in zip(context.kv_gradients[source], (dk, dv), strict=True):
        total.add_(part)
