"""One decoder layer of Gemma 3n, forward and backward by hand.

Only adapters train, so the backward half needs the gradients of the activations and of the
adapters and nothing else; written out, it holds what it must and frees the rest at once.
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
    heads: int
    kv_heads: int
    head_dim: int
    turns: dict[bool, tuple[Tensor, Tensor]]
    """Cosines and sines by ``sliding``."""
    bounds: tuple[Tensor, Tensor]
    """Where each token's example starts and ends, [T]."""
    windows: dict[bool, int]
    """How far back a token sees, by ``sliding``."""
    embeddings: Tensor
    """The per-layer inputs, [T, layers, P]."""
    kv: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Keys and values that later layers attend to, by layer."""
    kv_gradients: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """What those later layers ask of them, summed in float32."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What the backward half needs of a layer's forward half; tokens first unless said otherwise."""

    h: Tensor
    p: Tensor
    x: Tensor
    first: Tensor
    heads: tuple[Tensor, Tensor, Tensor]
    """Queries, keys and values, [heads, T, D]."""
    attention: tuple[Tensor, Tensor | None]
    mixed: Tensor
    o: Tensor
    low: Tensor
    a: Tensor
    f: Tensor
    gate_up: Tensor
    inner: Tensor
    m: Tensor
    g: Tensor
    y: Tensor


def forward(
    context: Context, layer: Layer, h: Tensor, *, save: bool, result: bool = True
) -> tuple[Tensor | None, Saved | None]:
    """Return the streams after the layer, if its ``result`` is asked for, and what to ``save``."""
    ops, tokens = context.ops, h.shape[1]
    x = products.input_buffer(layer.first, tokens, h)
    p = ops.predict(layer, h, x[:, : layer.first.columns])
    first = products.forward(ops, layer.first, x)
    left = layer.first.members[0].rows
    low = products.plain_forward(ops, layer.laurel, first[:, :left])
    mixed = products.input_buffer(layer.o, tokens, h)
    heads = _heads(context, layer, first[:, left:])
    attention = ops.attend(*heads, context.bounds, context.windows[layer.sliding])
    heads_apart = mixed[:, : layer.o.columns].unflatten(1, (context.heads, -1))
    heads_apart.copy_(attention[0].transpose(0, 1))
    o = products.forward(ops, layer.o, mixed)
    f = products.input_buffer(layer.gate_up, tokens, h)
    a = ops.combine(layer, o, p[0], x[:, : layer.first.columns], low, f[:, : layer.gate_up.columns])
    gate_up = products.forward(ops, layer.gate_up, f)
    inner = products.input_buffer(layer.down, tokens, h)
    ops.activate(gate_up, layer.cutoff, inner[:, : layer.down.columns])
    if not save:
        del gate_up, f
    m = products.forward(ops, layer.down, inner)
    if not save:
        del inner
    q, u = ops.correct(layer, a, m, p, keep=result)
    g = products.plain_forward(ops, layer.ple_gate, u)
    z = ops.scale_input(g, context.embeddings[:, layer.index])
    y = products.plain_forward(ops, layer.ple_projection, z)
    if result:
        ops.inject(layer, q, y)
    if not save:
        return q, None
    kept = Saved(
        h=h, p=p, x=x, first=first, heads=heads, attention=attention, mixed=mixed, o=o, low=low, a=a, f=f,
        gate_up=gate_up, inner=inner, m=m, g=g, y=y,
    )  # fmt: skip
    return q, kept


def backward(context: Context, layer: Layer, saved: Saved, dq: Tensor) -> Tensor:
    """Turn ``dq``, the gradient of the layer's result [S, T, H], into that of its input.

    ``dq`` and parts of ``saved`` are overwritten on the way.
    """
    ops, s = context.ops, saved
    dy = ops.inject_backward(layer, s.y, dq)
    dz = products.plain_backward(ops, layer.ple_projection, dy)
    dg = ops.scale_input_backward(s.g, context.embeddings[:, layer.index], dz)
    du = products.plain_backward(ops, layer.ple_gate, dg)
    da, dm = ops.correct_backward(layer, s.a, s.m, s.p, dq, du)
    dinner = products.backward(ops, layer.down, s.inner, dm)
    ops.activate_backward(s.gate_up, layer.cutoff, dinner)
    del dinner
    df = products.backward(ops, layer.gate_up, s.f, s.gate_up)
    do, dlow, skip = ops.combine_backward(layer, s.o, s.low, s.a, da, df)
    dfirst = torch.empty_like(s.first)
    left = layer.first.members[0].rows
    dfirst[:, :left] = products.plain_backward(ops, layer.laurel, dlow)
    dmixed = products.backward(ops, layer.o, s.mixed, do)
    _attend_backward(context, layer, s, dmixed, dfirst[:, left:])
    dx = products.backward(ops, layer.first, s.x, dfirst)
    dh: Tensor = ops.predict_backward(layer, s.h, dq, skip, dx)
    return dh


def _parts(context: Context, layer: Layer, y: Tensor) -> list[Tensor]:
    """Cut the product [T, …] into queries and, unless they are another layer's, keys and values."""
    own = context.kv_heads * context.head_dim
    sizes = [context.heads * context.head_dim, own, own]
    return list(y.split(sizes if layer.source == layer.index else sizes[:1], 1))


def _heads(context: Context, layer: Layer, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, each [heads, T, D]."""
    ops, turn = context.ops, context.turns[layer.sliding]
    query, *own = _parts(context, layer, y)
    q = ops.rotate(query, layer.q_norm, layer.eps, turn, context.heads)
    if not own:
        return q, *context.kv[layer.source]
    k = ops.rotate(own[0], layer.k_norm, layer.eps, turn, context.kv_heads)
    v = ops.rotate(own[1], None, layer.eps, None, context.kv_heads)
    if layer.stores:
        context.kv[layer.index] = k, v
    return q, k, v


def _attend_backward(
    context: Context, layer: Layer, saved: Saved, dmixed: Tensor, dy: Tensor
) -> None:
    """Write the gradients of the product's query, key and value columns into ``dy``."""
    ops, turn = context.ops, context.turns[layer.sliding]
    dout = dmixed.unflatten(1, (context.heads, -1)).transpose(0, 1)
    dq, dk, dv = ops.attend_backward(
        saved.heads, context.bounds, context.windows[layer.sliding], saved.attention, dout
    )
    columns = saved.first[:, saved.first.shape[1] - dy.shape[1] :]
    query, *own = _parts(context, layer, columns)
    dquery, *down = _parts(context, layer, dy)
    ops.rotate_backward(query, layer.q_norm, layer.eps, turn, dq, dquery)
    if not own:
        _ask(context, layer.source, dk, dv)
        return
    asked = context.kv_gradients.pop(layer.index, None)
    if asked is not None:
        dk, dv = (mine + later.to(mine.dtype) for mine, later in zip((dk, dv), asked, strict=True))
    ops.rotate_backward(own[0], layer.k_norm, layer.eps, turn, dk, down[0])
    ops.rotate_backward(own[1], None, layer.eps, None, dv, down[1])


def _ask(context: Context, source: int, dk: Tensor, dv: Tensor) -> None:
    """Add a layer's share to the gradient of the keys and values that it borrowed."""
    if source not in context.kv_gradients:
        context.kv_gradients[source] = dk.float(), dv.float()
        return
    for total, part in zip(context.kv_gradients[source], (dk, dv), strict=True):
        total.add_(part)
