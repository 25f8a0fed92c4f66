"""The step's small operations in plain torch: what they mean, for any device and dtype.

``fused`` has the same functions as Triton kernels, each in one pass over its data. Here the
backward half of an operation is what autograd makes of its forward half, so this module is also
what the kernels are tested against. T: tokens, S: AltUp's streams, H: hidden width.

Sources: AltUp (Baykal et al. 2023), LAuReL (Menghani et al. 2024), and the published Gemma 3n code in
transformers, whose numbers the whole step must give.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from bitsandbytes.functional import dequantize_4bit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paperlora.pipeline.model.gemma3n.parameters import Layer, Projection

Tensor = torch.Tensor


def _gradients(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Sequence[Tensor],
    dout: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """Return the gradients of ``inputs``, given those of what ``function`` makes of them."""
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]
        made = function(*leaves)
        outputs = made if isinstance(made, tuple) else (made,)
        return torch.autograd.grad(outputs, leaves, list(dout))


def _norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """Return RMSNorm(x) in float32."""
    x = x.float()
    normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return normed if weight is None else normed * weight.float()


def _modalities(layer: Layer, x: Tensor) -> Tensor:
    """Return what AltUp's router makes of its active stream, [T, S]."""
    return torch.tanh(_norm(x, layer.router_norm, layer.eps) @ layer.router.T)


def _predict(layer: Layer, h: Tensor) -> tuple[Tensor, Tensor]:
    streams = len(h)
    mixing = (_modalities(layer, h[0]) @ layer.predict.T).view(-1, streams, streams)
    wide = h.float()
    predicted = (wide + torch.einsum("tji,ith->jth", mixing, wide)).to(h.dtype)
    return predicted, _norm(predicted[0], layer.input_norm, layer.eps).to(h.dtype)


def predict(layer: Layer, h: Tensor, x: Tensor) -> Tensor:
    """Return AltUp's predictions [S, T, H] of the streams ``h``; ``x`` becomes the layer's normed input."""
    predicted, normed = _predict(layer, h)
    x.copy_(normed)
    return predicted


def predict_backward(layer: Layer, h: Tensor, dp: Tensor, skip: Tensor, dx: Tensor) -> Tensor:
    """Return the gradient of ``h``; ``skip`` is added to those of the active prediction and of ``x``."""
    dp = torch.cat([(dp[0] + skip)[None], dp[1:]])
    return _gradients(lambda one: _predict(layer, one), [h], [dp, dx + skip])[0]


def _rotate(
    y: Tensor, weight: Tensor | None, eps: float, turn: tuple[Tensor, Tensor] | None, heads: int
) -> Tensor:
    x = _norm(y.unflatten(1, (heads, -1)), weight, eps).transpose(0, 1)
    if turn is not None:
        cos, sin = turn
        low, high = x.chunk(2, dim=-1)
        x = torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)
    return x.to(y.dtype)


def rotate(
    y: Tensor, weight: Tensor | None, eps: float, turn: tuple[Tensor, Tensor] | None, heads: int
) -> Tensor:
    """Return the heads [heads, T, D] of ``y`` [T, heads * D], each normed and turned by its position.

    ``turn`` holds cosines and sines, [T, D / 2] in float32, or is None for values.
    """
    return _rotate(y, weight, eps, turn, heads)


def rotate_backward(
    y: Tensor,
    weight: Tensor | None,
    eps: float,
    turn: tuple[Tensor, Tensor] | None,
    dout: Tensor,
    dy: Tensor,
) -> None:
    """Write the gradient of ``y`` into ``dy``."""
    heads = len(dout)
    found = _gradients(lambda one: _rotate(one, weight, eps, turn, heads), [y], [dout])
    dy.copy_(found[0])


def attend(
    q: Tensor, k: Tensor, v: Tensor, bounds: tuple[Tensor, Tensor], window: int
) -> tuple[Tensor, Tensor | None]:
    """Return attention [heads, T, D] of queries to keys and values [kv heads, T, D], and what to keep.

    ``bounds`` holds where each token's example starts and ends; a query sees the keys of its own
    example, up to itself and no more than ``window`` back.
    """
    place = torch.arange(q.shape[1], device=q.device)
    apart = place[:, None] - place[None]
    seen = (apart >= 0) & (apart < window) & (place[None] >= bounds[0][:, None])
    times = len(q) // len(k)
    k, v = k.repeat_interleave(times, 0), v.repeat_interleave(times, 0)
    made = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=seen, scale=1.0)
    return made[0], None


def attend_backward(
    inputs: tuple[Tensor, Tensor, Tensor],
    bounds: tuple[Tensor, Tensor],
    window: int,
    made: tuple[Tensor, Tensor | None],  # noqa: ARG001 - the kernels need it
    dout: Tensor,
) -> tuple[Tensor, ...]:
    """Return the gradients of queries, keys and values; ``made`` is what ``attend`` returned."""
    return _gradients(lambda q, k, v: attend(q, k, v, bounds, window)[0], inputs, [dout])


def _combine(layer: Layer, o: Tensor, p0: Tensor, x: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    attended = p0.float() + _norm(o, layer.attention_norm, layer.eps)
    laurel = x.float() + _norm(low, layer.laurel_norm, layer.eps)
    a = ((attended + laurel) / math.sqrt(2)).to(o.dtype)
    return a, _norm(a, layer.before_mlp_norm, layer.eps).to(o.dtype)


def combine(layer: Layer, o: Tensor, p0: Tensor, x: Tensor, low: Tensor, f: Tensor) -> Tensor:
    """Join attention ``o``, its residual ``p0`` and LAuReL; ``f`` becomes the MLP's normed input."""
    a, normed = _combine(layer, o, p0, x, low)
    f.copy_(normed)
    return a


def combine_backward(
    layer: Layer, o: Tensor, low: Tensor, a: Tensor, da: Tensor, df: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of ``o``, of ``low`` and the one that ``p0`` and ``x`` share."""
    (through,) = _gradients(
        lambda one: _norm(one, layer.before_mlp_norm, layer.eps), [a], [df.float()]
    )
    skip = (da.float() + through.float()) / math.sqrt(2)
    (do,) = _gradients(lambda one: _norm(one, layer.attention_norm, layer.eps), [o], [skip])
    (dlow,) = _gradients(lambda one: _norm(one, layer.laurel_norm, layer.eps), [low], [skip])
    return do, dlow, skip.to(o.dtype)


def _activate(y: Tensor, cutoff: float | None) -> Tensor:
    gate, up = y.float().chunk(2, dim=-1)
    if cutoff is not None:
        floor = gate.mean(-1, keepdim=True) + cutoff * gate.std(-1, keepdim=True, unbiased=False)
        gate = F.relu(gate - floor)
    return (F.gelu(gate, approximate="tanh") * up).to(y.dtype)


def activate(y: Tensor, cutoff: float | None, h: Tensor) -> None:
    """Write gelu(gate) * up into ``h`` [T, I]; ``y`` is [T, 2 I], gate first."""
    h.copy_(_activate(y, cutoff))


def activate_backward(y: Tensor, cutoff: float | None, dh: Tensor) -> None:
    """Turn ``y`` into its own gradient."""
    y.copy_(_gradients(lambda one: _activate(one, cutoff), [y], [dh])[0])


def _correct(layer: Layer, a: Tensor, m: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    active = a.float() + _norm(m, layer.after_mlp_norm, layer.eps)
    weights = (_modalities(layer, active) @ layer.correct.T + 1).T[..., None]
    corrected = (p.float() + weights * (active - p[0].float())).to(p.dtype)
    return corrected, (corrected[0] * layer.output_scale).to(p.dtype)


def correct(
    layer: Layer, a: Tensor, m: Tensor, p: Tensor, *, keep: bool
) -> tuple[Tensor | None, Tensor]:
    """Return AltUp's corrected streams [S, T, H] (if to ``keep``) and the scaled active one."""
    corrected, u = _correct(layer, a, m, p)
    return (corrected if keep else None), u


def correct_backward(
    layer: Layer, a: Tensor, m: Tensor, p: Tensor, dq: Tensor, du: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``a`` and ``m``; ``dq`` turns from that of the streams into that of ``p``."""
    found = _gradients(lambda *three: _correct(layer, *three), [a, m, p], [dq, du])
    dq.copy_(found[2])
    return found[0], found[1]


def _scale_input(g: Tensor, e: Tensor) -> Tensor:
    return (F.gelu(g.float(), approximate="tanh") * e.float()).to(g.dtype)


def scale_input(g: Tensor, e: Tensor) -> Tensor:
    """Return gelu(g) times the layer's own embedding ``e``, [T, P]."""
    return _scale_input(g, e)


def scale_input_backward(g: Tensor, e: Tensor, dz: Tensor) -> Tensor:
    """Return the gradient of ``g``."""
    return _gradients(lambda one: _scale_input(one, e), [g], [dz])[0]


def inject(layer: Layer, q: Tensor, y: Tensor) -> None:
    """Add the normed ``y`` to every stream but the active one, in place."""
    q[1:] += _norm(y, layer.ple_norm, layer.eps)


def inject_backward(layer: Layer, y: Tensor, dq: Tensor) -> Tensor:
    """Return the gradient of ``y``."""
    dout = dq[1:].float().sum(0)
    return _gradients(lambda one: _norm(one, layer.ple_norm, layer.eps), [y], [dout])[0]


def expand(one: Projection, out: Tensor, place: int) -> None:
    """Unpack a projection's matrix into ``out`` [rows, columns + extra], its scaled B at ``place``."""
    whole = one.weight if one.state is None else dequantize_4bit(one.weight.data, one.state)
    out[:, : one.columns] = whole.to(out.dtype)
    if out.shape[1] > one.columns:
        out[:, one.columns :] = 0
    if one.adapter:
        begin = one.columns + place
        out[:, begin : begin + one.adapter.b.shape[1]] = one.adapter.b * one.adapter.scale


def cross_entropy(
    logits: Tensor, labels: Tensor, cap: float, scale: Tensor, losses: Tensor
) -> None:
    """Turn ``logits`` [T, V] into their gradient times ``scale``; ``losses`` [T] gets nats a token.

    The logits are bounded by ``cap`` first; a label below nought counts for nothing.
    """

    def total(one: Tensor) -> Tensor:
        bounded = cap * torch.tanh(one.float() / cap) if cap else one.float()
        found = F.cross_entropy(bounded, labels, ignore_index=-100, reduction="none")
        losses.copy_(found.detach())
        return found.sum()

    (gradient,) = _gradients(total, [logits], [scale.reshape(())])
    logits.copy_(gradient)
