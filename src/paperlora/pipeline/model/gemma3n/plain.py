"""The operations between a layer's matrix products, in plain torch: the definition of each of them.

``fused`` has the same functions as Triton kernels. This module runs on any device and dtype, and the
kernels are tested against it: a ``…_backward`` here is autograd of the forward function.

Shapes: T tokens, H hidden width, S AltUp streams (stream 0 is the active one), P width of a per-layer
embedding, I width of the MLP, D width of a head. Tensors are in the compute dtype; each function computes
in float32 and rounds its result once. A gradient has the name of its tensor with a ``d`` before it.

The operations mirror transformers' ``modeling_gemma3n.py``, to whose numbers the tests hold the whole
step. Papers: AltUp (Baykal et al. 2023), LAuReL (Menghani et al. 2024).
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
Pair = tuple[Tensor, Tensor]


def _gradients(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Sequence[Tensor],
    dout: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """Return the gradients of ``inputs``, given those of ``function(*inputs)``."""
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]
        result = function(*leaves)
        outputs = result if isinstance(result, tuple) else (result,)
        return torch.autograd.grad(outputs, leaves, list(dout))


def _norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """Return RMSNorm(x) over the last dimension, in float32; mirrors ``Gemma3nRMSNorm``."""
    x = x.float()
    normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return normed if weight is None else normed * weight.float()


def _modalities(layer: Layer, x: Tensor) -> Tensor:
    """Return the router's output [T, S]; mirrors ``Gemma3nTextAltUp.compute_router_modalities``."""
    return torch.tanh(_norm(x, layer.router_norm, layer.eps) @ layer.router.T)


def _predict(layer: Layer, h: Tensor) -> Pair:
    streams = len(h)
    mixing = (_modalities(layer, h[0]) @ layer.predict.T).view(-1, streams, streams)
    wide = h.float()
    predicted = (wide + torch.einsum("tji,ith->jth", mixing, wide)).to(h.dtype)
    return predicted, _norm(predicted[0], layer.input_norm, layer.eps).to(h.dtype)


def predict(layer: Layer, h: Tensor, x: Tensor) -> Tensor:
    """Return AltUp's predictions [S, T, H] of ``h``; fill ``x`` [T, H] with the normed active one.

    Mirrors ``Gemma3nTextAltUp.predict`` and the layer's ``input_layernorm``.
    """
    predicted, normed = _predict(layer, h)
    x.copy_(normed)
    return predicted


def predict_backward(layer: Layer, h: Tensor, dp: Tensor, skip: Tensor, dx: Tensor) -> Tensor:
    """Return the gradient of ``h`` [S, T, H], given those of the predictions and of ``x``.

    ``skip`` [T, H] is what ``combine`` adds to the gradients of both the active prediction and ``x``.
    """
    dp = torch.cat([(dp[0] + skip)[None], dp[1:]])
    return _gradients(lambda streams: _predict(layer, streams), [h], [dp, dx + skip])[0]


def rotate(y: Tensor, weight: Tensor | None, eps: float, rotary: Pair | None, heads: int) -> Tensor:
    """Return the heads [heads, T, D] of ``y`` [T, heads * D], normed and rotated by their position.

    ``rotary`` holds cosines and sines, [T, D / 2] in float32. Values have neither ``weight`` nor
    ``rotary``. Mirrors the norms and ``apply_rotary_pos_emb`` in ``Gemma3nTextAttention.forward``.
    """
    x = _norm(y.unflatten(1, (heads, -1)), weight, eps).transpose(0, 1)
    if rotary is not None:
        cos, sin = rotary
        low, high = x.chunk(2, dim=-1)
        x = torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)
    return x.to(y.dtype)


def rotate_backward(
    y: Tensor, weight: Tensor | None, eps: float, rotary: Pair | None, dout: Tensor, dy: Tensor
) -> None:
    """Fill ``dy`` [T, heads * D] with the gradient of ``y``, given ``dout`` [heads, T, D]."""
    heads = len(dout)
    dy.copy_(_gradients(lambda x: rotate(x, weight, eps, rotary, heads), [y], [dout])[0])


def attend(
    q: Tensor, k: Tensor, v: Tensor, bounds: Pair, window: int
) -> tuple[Tensor, Tensor | None]:
    """Return attention [heads, T, D] of queries to keys and values [kv heads, T, D], and None.

    ``bounds`` holds the start and the end of each token's example, [T] each. A query attends to the keys of
    its own example from itself back to ``window`` - 1 tokens earlier. The second result is what the
    backward half of ``fused`` needs. Mirrors ``eager_attention_forward`` with Gemma 3n's scaling of 1.
    """
    position = torch.arange(q.shape[1], device=q.device)
    distance = position[:, None] - position[None]
    seen = (distance >= 0) & (distance < window) & (position[None] >= bounds[0][:, None])
    group = len(q) // len(k)
    k, v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
    out = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=seen, scale=1.0)
    return out[0], None


def attend_backward(
    inputs: tuple[Tensor, Tensor, Tensor],
    bounds: Pair,
    window: int,
    attention: tuple[Tensor, Tensor | None],  # noqa: ARG001 - the kernels need it
    dout: Tensor,
) -> tuple[Tensor, ...]:
    """Return the gradients of queries, keys and values; ``attention`` is what ``attend`` returned."""
    return _gradients(lambda q, k, v: attend(q, k, v, bounds, window)[0], inputs, [dout])


def _combine(layer: Layer, o: Tensor, p0: Tensor, x: Tensor, low: Tensor) -> Pair:
    attended = p0.float() + _norm(o, layer.attention_norm, layer.eps)
    laurel = x.float() + _norm(low, layer.laurel_norm, layer.eps)
    a = ((attended + laurel) / math.sqrt(2)).to(o.dtype)
    return a, _norm(a, layer.before_mlp_norm, layer.eps).to(o.dtype)


def combine(layer: Layer, o: Tensor, p0: Tensor, x: Tensor, low: Tensor, f: Tensor) -> Tensor:
    """Return attention and LAuReL, each with its residual, added: [T, H]; fill ``f`` [T, H].

    ``o`` is attention's output, ``p0`` the active prediction, ``x`` the layer's input and ``low``
    LAuReL's output before its norm, [T, H] each; ``f`` becomes the MLP's normed input. Mirrors
    ``attn_laurel`` in ``Gemma3nTextDecoderLayer.forward`` and ``Gemma3nTextLaurelBlock``.
    """
    a, normed = _combine(layer, o, p0, x, low)
    f.copy_(normed)
    return a


def combine_backward(
    layer: Layer, o: Tensor, low: Tensor, a: Tensor, da: Tensor, df: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of ``o``, of ``low``, and the one that ``p0`` and ``x`` share, [T, H] each."""
    (through,) = _gradients(lambda x: _norm(x, layer.before_mlp_norm, layer.eps), [a], [df.float()])
    skip = (da.float() + through.float()) / math.sqrt(2)
    (do,) = _gradients(lambda x: _norm(x, layer.attention_norm, layer.eps), [o], [skip])
    (dlow,) = _gradients(lambda x: _norm(x, layer.laurel_norm, layer.eps), [low], [skip])
    return do, dlow, skip.to(o.dtype)


def _activate(y: Tensor, cutoff: float | None) -> Tensor:
    gate, up = y.float().chunk(2, dim=-1)
    if cutoff is not None:
        floor = gate.mean(-1, keepdim=True) + cutoff * gate.std(-1, keepdim=True, unbiased=False)
        gate = F.relu(gate - floor)
    return (F.gelu(gate, approximate="tanh") * up).to(y.dtype)


def activate(y: Tensor, cutoff: float | None, h: Tensor) -> None:
    """Fill ``h`` [T, I] with gelu(gate) * up; ``y`` is [T, 2 I], gate first.

    With a ``cutoff``, gates below that many standard deviations above the row's mean count as zero.
    Mirrors ``Gemma3nTextMLP.forward`` and its ``_gaussian_topk``.
    """
    h.copy_(_activate(y, cutoff))


def activate_backward(y: Tensor, cutoff: float | None, dh: Tensor) -> None:
    """Overwrite ``y`` [T, 2 I] with its own gradient, given ``dh`` [T, I]."""
    y.copy_(_gradients(lambda x: _activate(x, cutoff), [y], [dh])[0])


def _correct(layer: Layer, a: Tensor, m: Tensor, p: Tensor) -> Pair:
    active = a.float() + _norm(m, layer.after_mlp_norm, layer.eps)
    weights = (_modalities(layer, active) @ layer.correct.T + 1).T[..., None]
    corrected = (p.float() + weights * (active - p[0].float())).to(p.dtype)
    return corrected, (corrected[0] * layer.output_scale).to(p.dtype)


def correct(
    layer: Layer, a: Tensor, m: Tensor, p: Tensor, *, keep: bool
) -> tuple[Tensor | None, Tensor]:
    """Return AltUp's corrected streams [S, T, H], if ``keep``, and the scaled active one [T, H].

    ``a`` is the result of ``combine``, ``m`` the MLP's output before its norm, [T, H] each, and ``p`` the
    predictions [S, T, H]. Mirrors ``Gemma3nTextAltUp.correct`` and ``scale_corrected_output``.
    """
    corrected, u = _correct(layer, a, m, p)
    return (corrected if keep else None), u


def correct_backward(layer: Layer, a: Tensor, m: Tensor, p: Tensor, dq: Tensor, du: Tensor) -> Pair:
    """Return the gradients of ``a`` and ``m``; ``dq`` [S, T, H] becomes the gradient of ``p``.

    ``dq`` comes in as the gradient of the corrected streams, ``du`` as that of the scaled one.
    """
    da, dm, dp = _gradients(lambda *inputs: _correct(layer, *inputs), [a, m, p], [dq, du])
    dq.copy_(dp)
    return da, dm


def gate_ple(g: Tensor, e: Tensor) -> Tensor:
    """Return gelu(g) * e, [T, P]: the gated per-layer embedding.

    Mirrors ``act_fn`` and the product with ``per_layer_input`` in ``Gemma3nTextDecoderLayer.forward``.
    """
    return (F.gelu(g.float(), approximate="tanh") * e.float()).to(g.dtype)


def gate_ple_backward(g: Tensor, e: Tensor, dz: Tensor) -> Tensor:
    """Return the gradient of ``g`` [T, P]; the embedding ``e`` is frozen."""
    return _gradients(lambda x: gate_ple(x, e), [g], [dz])[0]


def add_ple(layer: Layer, q: Tensor, y: Tensor) -> None:
    """Add the normed ``y`` [T, H] to every stream of ``q`` [S, T, H] except the active one, in place.

    Mirrors ``post_per_layer_input_norm`` and ``corrected_predictions[1:] += …`` in
    ``Gemma3nTextDecoderLayer.forward``.
    """
    q[1:] += _norm(y, layer.ple_norm, layer.eps)


def add_ple_backward(layer: Layer, y: Tensor, dq: Tensor) -> Tensor:
    """Return the gradient of ``y`` [T, H], given that of the streams."""
    dout = dq[1:].float().sum(0)
    return _gradients(lambda x: _norm(x, layer.ple_norm, layer.eps), [y], [dout])[0]


def expand(one: Projection, out: Tensor, place: int) -> None:
    """Unpack a projection's matrix into ``out`` [rows, columns + extra].

    The extra columns hold the adapter's scaled B [rows, rank] from column ``columns + place`` on,
    and zero elsewhere: ``parameters.Group`` explains them.
    """
    whole = one.weight if one.state is None else dequantize_4bit(one.weight.data, one.state)
    out[:, : one.columns] = whole.to(out.dtype)
    out[:, one.columns :] = 0
    if one.adapter:
        begin = one.columns + place
        out[:, begin : begin + one.adapter.b.shape[1]] = one.adapter.b * one.adapter.scale


def cross_entropy(
    logits: Tensor, labels: Tensor, cap: float, scale: Tensor, losses: Tensor
) -> None:
    """Overwrite ``logits`` [T, V] with their gradient times ``scale``; fill ``losses`` [T] with nats.

    The logits are bounded by ``cap`` first (0: not bounded); a negative label has no loss. Mirrors
    ``final_logit_softcapping`` in ``Gemma3nForCausalLM.forward`` and torch's cross-entropy.
    """

    def total(x: Tensor) -> Tensor:
        bounded = cap * torch.tanh(x.float() / cap) if cap else x.float()
        found = F.cross_entropy(bounded, labels, ignore_index=-100, reduction="none")
        losses.copy_(found.detach())
        return found.sum()

    (gradient,) = _gradients(total, [logits], [scale.reshape(())])
    logits.copy_(gradient)
