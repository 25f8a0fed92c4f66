"""Triton kernels over the rows of one token: its heads, the sum before the MLP, the MLP's activation."""

from __future__ import annotations

import triton
import triton.language as tl

from paperlora.pipeline.model.gemma3n.kernels.streams import inverse_size, norm_gradient, tanh


@triton.jit
def gelu(x):
    """Return GELU in its tanh form (``gelu_pytorch_tanh``), and its derivative."""
    k = 0.7978845608028654  # sqrt(2 / pi)
    t = tanh(k * (x + 0.044715 * x * x * x))  # the constant of Hendrycks and Gimpel (2016)
    # 0.134145 is 3 * 0.044715, from the derivative of the cube.
    slope = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * k * (1.0 + 0.134145 * x * x)
    return 0.5 * x * (1.0 + t), slope


@triton.jit
def rotate(
    y, out, weight, cos, sin, T, y_stride, eps,
    D: tl.constexpr, NORM: tl.constexpr, TURN: tl.constexpr,
):  # fmt: skip
    """Write one head of one token, normed and rotated, to ``out``; see ``plain.rotate``."""
    t = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1).to(tl.int64)
    col = tl.arange(0, D // 2)
    place = y + t * y_stride + head * D + col
    low = tl.load(place).to(tl.float32)
    high = tl.load(place + D // 2).to(tl.float32)
    r = tl.rsqrt((tl.sum(low * low, 0) + tl.sum(high * high, 0)) / D + eps)
    low *= r
    high *= r
    if NORM:
        low *= tl.load(weight + col).to(tl.float32)
        high *= tl.load(weight + D // 2 + col).to(tl.float32)
    home = out + (head * T + t) * D + col
    if TURN:
        c = tl.load(cos + t * (D // 2) + col)
        s = tl.load(sin + t * (D // 2) + col)
        tl.store(home, (low * c - high * s).to(out.dtype.element_ty))
        tl.store(home + D // 2, (high * c + low * s).to(out.dtype.element_ty))
    else:
        tl.store(home, low.to(out.dtype.element_ty))
        tl.store(home + D // 2, high.to(out.dtype.element_ty))


@triton.jit
def rotate_backward(
    y, dout, dy, weight, cos, sin, y_stride, dy_stride, head_stride, token_stride, eps,
    D: tl.constexpr, NORM: tl.constexpr, TURN: tl.constexpr,
):  # fmt: skip
    """Write the gradient of one head of one token to ``dy``; see ``plain.rotate_backward``."""
    t = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1).to(tl.int64)
    col = tl.arange(0, D // 2)
    place = y + t * y_stride + head * D + col
    low = tl.load(place).to(tl.float32)
    high = tl.load(place + D // 2).to(tl.float32)
    r = tl.rsqrt((tl.sum(low * low, 0) + tl.sum(high * high, 0)) / D + eps)
    source = dout + head * head_stride + t * token_stride + col
    glow = tl.load(source).to(tl.float32)
    ghigh = tl.load(source + D // 2).to(tl.float32)
    if TURN:
        c = tl.load(cos + t * (D // 2) + col)
        s = tl.load(sin + t * (D // 2) + col)
        turned = glow * c + ghigh * s
        ghigh = ghigh * c - glow * s
        glow = turned
    if NORM:
        glow *= tl.load(weight + col).to(tl.float32)
        ghigh *= tl.load(weight + D // 2 + col).to(tl.float32)
    mean = (tl.sum(glow * low, 0) + tl.sum(ghigh * high, 0)) / D
    home = dy + t * dy_stride + head * D + col
    tl.store(home, (r * (glow - low * (r * r * mean))).to(dy.dtype.element_ty))
    tl.store(home + D // 2, (r * (ghigh - high * (r * r * mean))).to(dy.dtype.element_ty))


@triton.jit
def combine(
    o, p0, x, low, a, f, attention_norm, laurel_norm, before_norm, H, x_stride, f_stride, eps,
    BH: tl.constexpr,
):  # fmt: skip
    """Write the sum ``a`` and its norm ``f`` for one token; see ``plain.combine``."""
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BH)
    on = col < H
    total = tl.load(p0 + t * H + col, mask=on, other=0.0).to(tl.float32)
    total += tl.load(x + t * x_stride + col, mask=on, other=0.0).to(tl.float32)
    row = tl.load(o + t * H + col, mask=on, other=0.0).to(tl.float32)
    weight = tl.load(attention_norm + col, mask=on, other=0.0).to(tl.float32)
    total += row * inverse_size(row, eps, H) * weight
    row = tl.load(low + t * H + col, mask=on, other=0.0).to(tl.float32)
    weight = tl.load(laurel_norm + col, mask=on, other=0.0).to(tl.float32)
    total += row * inverse_size(row, eps, H) * weight
    # 1 / sqrt(2); then the norm reads the rounded value, as it does where the sum is stored.
    rounded = (total * 0.7071067811865476).to(a.dtype.element_ty)
    tl.store(a + t * H + col, rounded, mask=on)
    row = rounded.to(tl.float32)
    weight = tl.load(before_norm + col, mask=on, other=0.0).to(tl.float32)
    normed = row * inverse_size(row, eps, H) * weight
    tl.store(f + t * f_stride + col, normed.to(f.dtype.element_ty), mask=on)


@triton.jit
def combine_backward(
    o, low, a, da, df, do, dlow, skip, attention_norm, laurel_norm, before_norm, H, df_stride, eps,
    BH: tl.constexpr,
):  # fmt: skip
    """Write ``do``, ``dlow`` and ``skip`` for one token; see ``plain.combine_backward``."""
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BH)
    on = col < H
    row = tl.load(a + t * H + col, mask=on, other=0.0).to(tl.float32)
    weight = tl.load(before_norm + col, mask=on, other=0.0).to(tl.float32)
    g = tl.load(df + t * df_stride + col, mask=on, other=0.0).to(tl.float32) * weight
    total = tl.load(da + t * H + col, mask=on, other=0.0).to(tl.float32)
    total = (total + norm_gradient(row, inverse_size(row, eps, H), g, H)) * 0.7071067811865476
    tl.store(skip + t * H + col, total.to(skip.dtype.element_ty), mask=on)
    row = tl.load(o + t * H + col, mask=on, other=0.0).to(tl.float32)
    weight = tl.load(attention_norm + col, mask=on, other=0.0).to(tl.float32)
    found = norm_gradient(row, inverse_size(row, eps, H), total * weight, H)
    tl.store(do + t * H + col, found.to(do.dtype.element_ty), mask=on)
    row = tl.load(low + t * H + col, mask=on, other=0.0).to(tl.float32)
    weight = tl.load(laurel_norm + col, mask=on, other=0.0).to(tl.float32)
    found = norm_gradient(row, inverse_size(row, eps, H), total * weight, H)
    tl.store(dlow + t * H + col, found.to(dlow.dtype.element_ty), mask=on)


@triton.jit
def row_floor(gate, cutoff, N, B: tl.constexpr):
    """Return a row's mean, its standard deviation, and the floor: ``cutoff`` deviations above the mean."""
    col = tl.arange(0, B)
    total = tl.zeros([B], tl.float32)
    for start in range(0, N, B):
        total += tl.load(gate + start + col, mask=start + col < N, other=0.0).to(tl.float32)
    mean = tl.sum(total, 0) / N
    total = tl.zeros([B], tl.float32)
    for start in range(0, N, B):
        on = start + col < N
        away = tl.load(gate + start + col, mask=on, other=0.0).to(tl.float32) - mean
        total += tl.where(on, away * away, 0.0)
    deviation = tl.sqrt(tl.sum(total, 0) / N)
    return mean, deviation, mean + cutoff * deviation


@triton.jit
def activate(y, h, cutoff, N, y_stride, h_stride, SPARSE: tl.constexpr, B: tl.constexpr):
    """Write the activation of one token, N wide, to ``h``; see ``plain.activate``."""
    t = tl.program_id(0).to(tl.int64)
    gate = y + t * y_stride
    col = tl.arange(0, B)
    floor = 0.0
    if SPARSE:
        _mean, _deviation, floor = row_floor(gate, cutoff, N, B)
    for start in range(0, N, B):
        on = start + col < N
        g = tl.load(gate + start + col, mask=on, other=0.0).to(tl.float32)
        if SPARSE:
            g = tl.maximum(g - floor, 0.0)
        value, _slope = gelu(g)
        value *= tl.load(gate + N + start + col, mask=on, other=0.0).to(tl.float32)
        tl.store(h + t * h_stride + start + col, value.to(h.dtype.element_ty), mask=on)


@triton.jit
def activate_backward(y, dh, cutoff, N, y_stride, dh_stride, SPARSE: tl.constexpr, B: tl.constexpr):
    """Overwrite gate and up of one token by their gradients; see ``plain.activate_backward``."""
    t = tl.program_id(0).to(tl.int64)
    gate = y + t * y_stride
    dout = dh + t * dh_stride
    col = tl.arange(0, B)
    mean, deviation, floor, share = 0.0, 0.0, 0.0, 0.0
    if SPARSE:
        mean, deviation, floor = row_floor(gate, cutoff, N, B)
        total = tl.zeros([B], tl.float32)
        for start in range(0, N, B):
            on = start + col < N
            g = tl.load(gate + start + col, mask=on, other=0.0).to(tl.float32) - floor
            up = tl.load(gate + N + start + col, mask=on, other=0.0).to(tl.float32)
            d = tl.load(dout + start + col, mask=on, other=0.0).to(tl.float32)
            _value, slope = gelu(g)
            total += tl.where(on & (g > 0), d * up * slope, 0.0)
        share = tl.sum(total, 0) / N  # the floor depends on every gate of the row
        tl.debug_barrier()  # no thread may overwrite a gate while another still reads it
    for start in range(0, N, B):
        on = start + col < N
        raw = tl.load(gate + start + col, mask=on, other=0.0).to(tl.float32)
        up = tl.load(gate + N + start + col, mask=on, other=0.0).to(tl.float32)
        d = tl.load(dout + start + col, mask=on, other=0.0).to(tl.float32)
        g = raw
        if SPARSE:
            g = tl.maximum(raw - floor, 0.0)
        value, slope = gelu(g)
        dgate = d * up * slope
        if SPARSE:
            dgate = tl.where(raw > floor, dgate, 0.0)
            dgate -= share * (1.0 + cutoff * (raw - mean) / deviation)
        tl.store(gate + start + col, dgate.to(y.dtype.element_ty), mask=on)
        tl.store(gate + N + start + col, (d * value).to(y.dtype.element_ty), mask=on)


@triton.jit
def gate_ple(g, e, z, P, e_stride, B: tl.constexpr):
    """Write gelu(g) * e for one token to ``z``; see ``plain.gate_ple``."""
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, B)
    on = col < P
    value, _slope = gelu(tl.load(g + t * P + col, mask=on, other=0.0).to(tl.float32))
    value *= tl.load(e + t * e_stride + col, mask=on, other=0.0).to(tl.float32)
    tl.store(z + t * P + col, value.to(z.dtype.element_ty), mask=on)


@triton.jit
def gate_ple_backward(g, e, dz, dg, P, e_stride, B: tl.constexpr):
    """Write the gradient ``dg`` for one token; see ``plain.gate_ple_backward``."""
    t = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, B)
    on = col < P
    _value, slope = gelu(tl.load(g + t * P + col, mask=on, other=0.0).to(tl.float32))
    slope *= tl.load(e + t * e_stride + col, mask=on, other=0.0).to(tl.float32)
    slope *= tl.load(dz + t * P + col, mask=on, other=0.0).to(tl.float32)
    tl.store(dg + t * P + col, slope.to(dg.dtype.element_ty), mask=on)
