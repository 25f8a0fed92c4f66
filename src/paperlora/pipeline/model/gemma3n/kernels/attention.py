"""Triton kernels for attention over packed rows: causal, in a window, each example to itself.

FlashAttention-2 (Dao 2023) with what this model needs: heads of 256, several query heads to one of
keys, scores that are not scaled. ``start`` holds, for each token, where its example starts; with that
and the window, blocks of keys that a block of queries cannot see are never read. No atomic sums, so
the same inputs give the same bits.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def seen(query, key, begin, window):
    """Say which keys each query may look at; all three broadcast."""
    return (key <= query) & (query - key < window) & (key >= begin)


@triton.jit
def forward(
    q, k, v, start, out, sizes, T, window, GROUP: tl.constexpr, D: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write attention [heads, T, D] and the logarithm of each query's sum, [heads, T]."""
    first = tl.program_id(0) * BM
    head = tl.program_id(1).to(tl.int64)
    kv = head // GROUP
    row = first + tl.arange(0, BM)
    col = tl.arange(0, D)
    query = tl.load(q + (head * T + row[:, None]) * D + col[None, :])
    begin = tl.load(start + row)
    low = tl.maximum(tl.load(start + first), first - window + 1) // BN * BN
    low = tl.maximum(low, 0)
    best = tl.full([BM], -1e30, tl.float32)
    total = tl.zeros([BM], tl.float32)
    made = tl.zeros([BM, D], tl.float32)
    for at in range(low, first + BM, BN):
        place = at + tl.arange(0, BN)
        keys = tl.load(k + (kv * T + place[:, None]) * D + col[None, :])
        score = tl.dot(query, tl.trans(keys), input_precision=PRECISION)
        score = tl.where(seen(row[:, None], place[None, :], begin[:, None], window), score, -1e30)
        higher = tl.maximum(best, tl.max(score, 1))
        share = tl.exp(score - higher[:, None])
        share = tl.where(score > -1e29, share, 0.0)
        fade = tl.exp(best - higher)
        total = total * fade + tl.sum(share, 1)
        values = tl.load(v + (kv * T + place[:, None]) * D + col[None, :])
        made = made * fade[:, None]
        made = tl.dot(share.to(values.dtype), values, made, input_precision=PRECISION)
        best = higher
    home = out + (head * T + row[:, None]) * D + col[None, :]
    tl.store(home, (made / total[:, None]).to(out.dtype.element_ty))
    tl.store(sizes + head * T + row, best + tl.log(total))


@triton.jit
def products(out, outward, given, T, head_stride, token_stride, D: tl.constexpr):
    """Write each query's sum of attention times its gradient, [heads, T]."""
    t = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1).to(tl.int64)
    col = tl.arange(0, D)
    one = tl.load(out + (head * T + t) * D + col).to(tl.float32)
    other = tl.load(outward + head * head_stride + t * token_stride + col).to(tl.float32)
    tl.store(given + head * T + t, tl.sum(one * other, 0))


@triton.jit
def backward_queries(
    q, k, v, start, outward, sizes, given, dq, T, window, head_stride, token_stride,
    GROUP: tl.constexpr, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradient of a block of queries."""
    first = tl.program_id(0) * BM
    head = tl.program_id(1).to(tl.int64)
    kv = head // GROUP
    row = first + tl.arange(0, BM)
    col = tl.arange(0, D)
    query = tl.load(q + (head * T + row[:, None]) * D + col[None, :])
    down = tl.load(outward + head * head_stride + row[:, None] * token_stride + col[None, :])
    size = tl.load(sizes + head * T + row)
    mean = tl.load(given + head * T + row)
    begin = tl.load(start + row)
    low = tl.maximum(tl.load(start + first), first - window + 1) // BN * BN
    low = tl.maximum(low, 0)
    total = tl.zeros([BM, D], tl.float32)
    for at in range(low, first + BM, BN):
        place = at + tl.arange(0, BN)
        keys = tl.load(k + (kv * T + place[:, None]) * D + col[None, :])
        values = tl.load(v + (kv * T + place[:, None]) * D + col[None, :])
        score = tl.dot(query, tl.trans(keys), input_precision=PRECISION)
        on = seen(row[:, None], place[None, :], begin[:, None], window)
        share = tl.where(on, tl.exp(score - size[:, None]), 0.0)
        change = tl.dot(down, tl.trans(values), input_precision=PRECISION)
        change = share * (change - mean[:, None])
        total = tl.dot(change.to(keys.dtype), keys, total, input_precision=PRECISION)
    home = dq + (head * T + row[:, None]) * D + col[None, :]
    tl.store(home, total.to(dq.dtype.element_ty))


@triton.jit
def backward_keys(
    q, k, v, start, end, outward, sizes, given, dk, dv, T, window, head_stride, token_stride,
    GROUP: tl.constexpr, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write one query head's share of the gradient of a block of keys and values, [heads, T, D].

    ``end`` holds, for each token, where its example ends.
    """
    first = tl.program_id(0) * BN
    head = tl.program_id(1).to(tl.int64)
    kv = head // GROUP
    place = first + tl.arange(0, BN)
    col = tl.arange(0, D)
    keys = tl.load(k + (kv * T + place[:, None]) * D + col[None, :])
    values = tl.load(v + (kv * T + place[:, None]) * D + col[None, :])
    high = tl.minimum(tl.load(end + first + BN - 1), first + BN - 1 + window)
    high = tl.minimum(high, T)
    keys_total = tl.zeros([BN, D], tl.float32)
    values_total = tl.zeros([BN, D], tl.float32)
    for at in range(first // BM * BM, high, BM):
        row = at + tl.arange(0, BM)
        query = tl.load(q + (head * T + row[:, None]) * D + col[None, :])
        down = tl.load(outward + head * head_stride + row[:, None] * token_stride + col[None, :])
        size = tl.load(sizes + head * T + row)
        mean = tl.load(given + head * T + row)
        begin = tl.load(start + row)
        score = tl.dot(keys, tl.trans(query), input_precision=PRECISION)
        on = seen(row[None, :], place[:, None], begin[None, :], window)
        share = tl.where(on, tl.exp(score - size[None, :]), 0.0)
        values_total = tl.dot(share.to(down.dtype), down, values_total, input_precision=PRECISION)
        change = tl.dot(values, tl.trans(down), input_precision=PRECISION)
        change = share * (change - mean[None, :])
        keys_total = tl.dot(change.to(query.dtype), query, keys_total, input_precision=PRECISION)
    home = (head * T + place[:, None]) * D + col[None, :]
    tl.store(dk + home, keys_total.to(dk.dtype.element_ty))
    tl.store(dv + home, values_total.to(dv.dtype.element_ty))
