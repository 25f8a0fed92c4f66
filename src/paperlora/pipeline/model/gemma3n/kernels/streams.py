"""Triton kernels over AltUp's streams: one program for each token, which reads its rows once.

Streams are [S, T, H], other rows [T, H]. The gradient of RMSNorm is r (g - x r^2 mean(g x)), where
r = rsqrt(mean x^2 + eps) and g is the gradient of the output times the norm's weight.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def tanh(x):
    """Return the hyperbolic tangent; where the exponential overflows, the result is 1, as it must be."""
    return 1.0 - 2.0 / (1.0 + tl.exp(2.0 * x))


@triton.jit
def norm_gradient(x, r, g, H):
    """Return the gradient of x [BH], given ``g``, that of x r with r = rsqrt(mean x^2 + eps)."""
    return r * (g - x * (r * r * tl.sum(g * x, 0) / H))


@triton.jit
def inverse_size(x, eps, H):
    """Return rsqrt(mean x^2 + eps)."""
    return tl.rsqrt(tl.sum(x * x, 0) / H + eps)


@triton.jit
def modalities(normed, router, H, S: tl.constexpr, BH: tl.constexpr):
    """Return tanh(router @ normed), [S]; ``router`` [S, H] in float32 already holds the factor 1 / H."""
    col = tl.arange(0, BH)
    stream = tl.arange(0, S)
    found = tl.zeros([S], tl.float32)
    for s in tl.static_range(S):
        row = tl.load(router + s * H + col, mask=col < H, other=0.0)
        found = tl.where(stream == s, tl.sum(row * normed, 0), found)
    return tanh(found)


@triton.jit
def at(vector, place, S: tl.constexpr):
    """Return element ``place`` of a vector in registers, which Triton cannot index."""
    return tl.sum(tl.where(tl.arange(0, S) == place, vector, 0.0), 0)


@triton.jit
def router_gradient(d, modality, router, norm, x, r, H, S: tl.constexpr, BH: tl.constexpr):
    """Return the gradient of the router's input [BH], given ``d`` [S], that of its output."""
    col = tl.arange(0, BH)
    d = d * (1.0 - modality * modality)
    total = tl.zeros([BH], tl.float32)
    for s in tl.static_range(S):
        total += at(d, s, S) * tl.load(router + s * H + col, mask=col < H, other=0.0)
    return norm_gradient(x, r, total * norm, H)


@triton.jit
def predict(
    h, p, x, router_norm, router, mixing, input_norm, T, H, x_stride, eps,
    S: tl.constexpr, BH: tl.constexpr,
):  # fmt: skip
    """Write the predictions ``p`` [S, T, H] and the layer's normed input ``x``; see ``plain.predict``."""
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BH)
    on = col < H
    stream = tl.arange(0, S)
    first = tl.load(h + t * H + col, mask=on, other=0.0).to(tl.float32)
    scale = tl.load(router_norm + col, mask=on, other=0.0).to(tl.float32)
    m = modalities(first * inverse_size(first, eps, H) * scale, router, H, S, BH)
    for j in tl.static_range(S):
        total = tl.load(h + (j * T + t) * H + col, mask=on, other=0.0).to(tl.float32)
        for i in tl.static_range(S):
            c = tl.sum(tl.load(mixing + (j * S + i) * S + stream) * m, 0)
            total += c * tl.load(h + (i * T + t) * H + col, mask=on, other=0.0).to(tl.float32)
        # The norm reads the rounded value, as it does where the prediction is stored and read again.
        rounded = total.to(p.dtype.element_ty)
        tl.store(p + (j * T + t) * H + col, rounded, mask=on)
        if j == 0:
            active = rounded.to(tl.float32)
            weight = tl.load(input_norm + col, mask=on, other=0.0).to(tl.float32)
            normed = active * inverse_size(active, eps, H) * weight
            tl.store(x + t * x_stride + col, normed.to(x.dtype.element_ty), mask=on)


@triton.jit
def predict_backward(
    h, dp, skip, dx, dh, router_norm, router, mixing, input_norm, T, H, dx_stride, eps,
    S: tl.constexpr, BH: tl.constexpr,
):  # fmt: skip
    """Write the gradient ``dh`` of the streams; see ``plain.predict_backward``."""
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BH)
    on = col < H
    stream = tl.arange(0, S)
    first = tl.load(h + t * H + col, mask=on, other=0.0).to(tl.float32)
    scale = tl.load(router_norm + col, mask=on, other=0.0).to(tl.float32)
    r = inverse_size(first, eps, H)
    m = modalities(first * r * scale, router, H, S, BH)
    active = first
    for i in tl.static_range(S):
        c = tl.sum(tl.load(mixing + i * S + stream) * m, 0)
        active += c * tl.load(h + (i * T + t) * H + col, mask=on, other=0.0).to(tl.float32)
    shared = tl.load(skip + t * H + col, mask=on, other=0.0).to(tl.float32)
    dout = tl.load(dx + t * dx_stride + col, mask=on, other=0.0).to(tl.float32) + shared
    weight = tl.load(input_norm + col, mask=on, other=0.0).to(tl.float32)
    dp0 = tl.load(dp + t * H + col, mask=on, other=0.0).to(tl.float32) + shared
    dp0 += norm_gradient(active, inverse_size(active, eps, H), dout * weight, H)
    dm = tl.zeros([S], tl.float32)
    for j in tl.static_range(S):
        if j == 0:
            down = dp0
        else:
            down = tl.load(dp + (j * T + t) * H + col, mask=on, other=0.0).to(tl.float32)
        for i in tl.static_range(S):
            up = tl.load(h + (i * T + t) * H + col, mask=on, other=0.0).to(tl.float32)
            dm += tl.sum(up * down, 0) * tl.load(mixing + (j * S + i) * S + stream)
    through = router_gradient(dm, m, router, scale, first, r, H, S, BH)
    for i in tl.static_range(S):
        if i == 0:
            total = dp0 + through
        else:
            total = tl.load(dp + (i * T + t) * H + col, mask=on, other=0.0).to(tl.float32)
        for j in tl.static_range(S):
            c = tl.sum(tl.load(mixing + (j * S + i) * S + stream) * m, 0)
            if j == 0:
                total += c * dp0
            else:
                total += c * tl.load(dp + (j * T + t) * H + col, mask=on, other=0.0).to(tl.float32)
        tl.store(dh + (i * T + t) * H + col, total.to(dh.dtype.element_ty), mask=on)


@triton.jit
def correct(
    a, m, p, q, u, after_norm, router_norm, router, weights, output_scale, T, H, eps,
    KEEP: tl.constexpr, S: tl.constexpr, BH: tl.constexpr,
):  # fmt: skip
    """Write the corrected streams ``q``, if KEEP, and the scaled active one ``u``; see ``plain.correct``."""
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BH)
    on = col < H
    stream = tl.arange(0, S)
    made = tl.load(m + t * H + col, mask=on, other=0.0).to(tl.float32)
    weight = tl.load(after_norm + col, mask=on, other=0.0).to(tl.float32)
    active = tl.load(a + t * H + col, mask=on, other=0.0).to(tl.float32)
    active += made * inverse_size(made, eps, H) * weight
    scale = tl.load(router_norm + col, mask=on, other=0.0).to(tl.float32)
    modality = modalities(active * inverse_size(active, eps, H) * scale, router, H, S, BH)
    news = active - tl.load(p + t * H + col, mask=on, other=0.0).to(tl.float32)
    for i in tl.static_range(S):
        e = 1.0 + tl.sum(tl.load(weights + i * S + stream) * modality, 0)
        if KEEP or i == 0:
            total = tl.load(p + (i * T + t) * H + col, mask=on, other=0.0).to(tl.float32) + e * news
            rounded = total.to(u.dtype.element_ty)
            if KEEP:
                tl.store(q + (i * T + t) * H + col, rounded, mask=on)
            if i == 0:
                out = tl.load(output_scale + col, mask=on, other=0.0).to(tl.float32)
                tl.store(
                    u + t * H + col, (rounded.to(tl.float32) * out).to(u.dtype.element_ty), mask=on
                )


@triton.jit
def correct_backward(
    a, m, p, dq, du, da, dm, after_norm, router_norm, router, weights, output_scale, T, H, eps,
    S: tl.constexpr, BH: tl.constexpr,
):  # fmt: skip
    """Write ``da``, ``dm``, and the gradient of ``p[0]`` over ``dq[0]``; see ``plain.correct_backward``.

    The gradients of the other predictions are those of the other streams: ``dq[1:]`` stays as it is.
    """
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BH)
    on = col < H
    stream = tl.arange(0, S)
    made = tl.load(m + t * H + col, mask=on, other=0.0).to(tl.float32)
    weight = tl.load(after_norm + col, mask=on, other=0.0).to(tl.float32)
    size = inverse_size(made, eps, H)
    active = tl.load(a + t * H + col, mask=on, other=0.0).to(tl.float32) + made * size * weight
    r = inverse_size(active, eps, H)
    scale = tl.load(router_norm + col, mask=on, other=0.0).to(tl.float32)
    modality = modalities(active * r * scale, router, H, S, BH)
    news = active - tl.load(p + t * H + col, mask=on, other=0.0).to(tl.float32)
    out = tl.load(output_scale + col, mask=on, other=0.0).to(tl.float32)
    down0 = tl.load(dq + t * H + col, mask=on, other=0.0).to(tl.float32)
    down0 += tl.load(du + t * H + col, mask=on, other=0.0).to(tl.float32) * out
    dnews = tl.zeros([BH], tl.float32)
    dmodality = tl.zeros([S], tl.float32)
    for i in tl.static_range(S):
        row = tl.load(weights + i * S + stream)
        e = 1.0 + tl.sum(row * modality, 0)
        if i == 0:
            down = down0
        else:
            down = tl.load(dq + (i * T + t) * H + col, mask=on, other=0.0).to(tl.float32)
        dnews += e * down
        dmodality += tl.sum(news * down, 0) * row
    dactive = dnews + router_gradient(dmodality, modality, router, scale, active, r, H, S, BH)
    tl.store(dq + t * H + col, (down0 - dnews).to(dq.dtype.element_ty), mask=on)
    tl.store(da + t * H + col, dactive.to(da.dtype.element_ty), mask=on)
    tl.store(
        dm + t * H + col,
        norm_gradient(made, size, dactive * weight, H).to(dm.dtype.element_ty),
        mask=on,
    )


@triton.jit
def add_ple(q, y, norm, T, H, eps, S: tl.constexpr, BH: tl.constexpr):
    """Add the normed ``y`` to ``q[1:]``, in place; see ``plain.add_ple``."""
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BH)
    on = col < H
    row = tl.load(y + t * H + col, mask=on, other=0.0).to(tl.float32)
    added = row * inverse_size(row, eps, H) * tl.load(norm + col, mask=on, other=0.0).to(tl.float32)
    for i in tl.static_range(1, S):
        place = q + (i * T + t) * H + col
        total = tl.load(place, mask=on, other=0.0).to(tl.float32) + added
        tl.store(place, total.to(q.dtype.element_ty), mask=on)


@triton.jit
def add_ple_backward(y, dq, dy, norm, T, H, eps, S: tl.constexpr, BH: tl.constexpr):
    """Write the gradient ``dy``; see ``plain.add_ple_backward``."""
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BH)
    on = col < H
    total = tl.zeros([BH], tl.float32)
    for i in tl.static_range(1, S):
        total += tl.load(dq + (i * T + t) * H + col, mask=on, other=0.0).to(tl.float32)
    row = tl.load(y + t * H + col, mask=on, other=0.0).to(tl.float32)
    weight = tl.load(norm + col, mask=on, other=0.0).to(tl.float32)
    found = norm_gradient(row, inverse_size(row, eps, H), total * weight, H)
    tl.store(dy + t * H + col, found.to(dy.dtype.element_ty), mask=on)
