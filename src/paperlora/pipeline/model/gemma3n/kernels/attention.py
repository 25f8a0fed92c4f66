"""Triton kernels for attention over packed rows: causal, within a window, within one example.

FlashAttention-2 (Dao 2023), with its names: ``lse`` is the logarithm of a query's sum of
exponentials, ``delta`` the row sum of output times gradient of the output. Added for Gemma 3n: heads
of width 256, grouped queries (GROUP query heads share one head of keys and values), and scores that
are not scaled, since the model norms queries and keys instead.

``start`` [T] holds where each token's example starts. With it and the window, the kernels skip blocks
of keys that a block of queries cannot see. They use no atomic sums, so the same inputs give the same
bits. Queries and their gradients are [heads, T, D], keys and values [kv heads, T, D], ``lse`` and
``delta`` [heads, T] in float32; ``dout`` has a stride for heads and one for tokens.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def seen(query, key, begin, window):
    """Return the mask of the keys that each query attends to; the positions broadcast."""
    return (key <= query) & (query - key < window) & (key >= begin)


@triton.jit
def forward(
    q, k, v, start, out, lse, T, window, GROUP: tl.constexpr, D: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the attention of one head for BM queries to ``out``, and their ``lse``."""
    first = tl.program_id(0) * BM
    head = tl.program_id(1).to(tl.int64)
    kv = head // GROUP
    row = first + tl.arange(0, BM)
    col = tl.arange(0, D)
    query = tl.load(q + (head * T + row[:, None]) * D + col[None, :])
    begin = tl.load(start + row)
    # The first key that any query of the block sees is that of its first query: starts only grow.
    low = tl.maximum(tl.load(start + first), first - window + 1) // BN * BN
    low = tl.maximum(low, 0)
    # Finite, not -inf: the difference of two infinities would be NaN in a row that sees no key yet.
    best = tl.full([BM], -1e30, tl.float32)
    total = tl.zeros([BM], tl.float32)
    made = tl.zeros([BM, D], tl.float32)
    for at in range(low, first + BM, BN):
        place = at + tl.arange(0, BN)
        keys = tl.load(k + (kv * T + place[:, None]) * D + col[None, :])
        score = tl.dot(query, tl.trans(keys), input_precision=PRECISION)
        score = tl.where(seen(row[:, None], place[None, :], begin[:, None], window), score, -1e30)
        higher = tl.maximum(best, tl.max(score, 1))
        weight = tl.exp(score - higher[:, None])
        weight = tl.where(score > -1e29, weight, 0.0)
        rescale = tl.exp(best - higher)  # earlier sums were relative to a smaller maximum
        total = total * rescale + tl.sum(weight, 1)
        values = tl.load(v + (kv * T + place[:, None]) * D + col[None, :])
        made = made * rescale[:, None]
        made = tl.dot(weight.to(values.dtype), values, made, input_precision=PRECISION)
        best = higher
    home = out + (head * T + row[:, None]) * D + col[None, :]
    tl.store(home, (made / total[:, None]).to(out.dtype.element_ty))
    tl.store(lse + head * T + row, best + tl.log(total))


@triton.jit
def deltas(out, dout, delta, T, head_stride, token_stride, D: tl.constexpr):
    """Write ``delta``: for each query of each head, the sum of its output times its gradient."""
    t = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1).to(tl.int64)
    col = tl.arange(0, D)
    one = tl.load(out + (head * T + t) * D + col).to(tl.float32)
    other = tl.load(dout + head * head_stride + t * token_stride + col).to(tl.float32)
    tl.store(delta + head * T + t, tl.sum(one * other, 0))


@triton.jit
def backward_queries(
    q, k, v, start, dout, lse, delta, dq, T, window, head_stride, token_stride,
    GROUP: tl.constexpr, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradient of BM queries of one head to ``dq``."""
    first = tl.program_id(0) * BM
    head = tl.program_id(1).to(tl.int64)
    kv = head // GROUP
    row = first + tl.arange(0, BM)
    col = tl.arange(0, D)
    query = tl.load(q + (head * T + row[:, None]) * D + col[None, :])
    do = tl.load(dout + head * head_stride + row[:, None] * token_stride + col[None, :])
    row_lse = tl.load(lse + head * T + row)
    row_delta = tl.load(delta + head * T + row)
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
        weight = tl.where(on, tl.exp(score - row_lse[:, None]), 0.0)
        dscore = tl.dot(do, tl.trans(values), input_precision=PRECISION)
        dscore = weight * (dscore - row_delta[:, None])
        total = tl.dot(dscore.to(keys.dtype), keys, total, input_precision=PRECISION)
    home = dq + (head * T + row[:, None]) * D + col[None, :]
    tl.store(home, total.to(dq.dtype.element_ty))


@triton.jit
def backward_keys(
    q, k, v, start, end, dout, lse, delta, dk, dv, T, window, head_stride, token_stride,
    GROUP: tl.constexpr, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write what one query head adds to the gradients of BN keys and values, [heads, T, D].

    The caller sums over the heads that share keys: an atomic sum here would change the last bits
    from run to run. ``end`` [T] holds where each token's example ends.
    """
    first = tl.program_id(0) * BN
    head = tl.program_id(1).to(tl.int64)
    kv = head // GROUP
    place = first + tl.arange(0, BN)
    col = tl.arange(0, D)
    keys = tl.load(k + (kv * T + place[:, None]) * D + col[None, :])
    values = tl.load(v + (kv * T + place[:, None]) * D + col[None, :])
    # The last query that sees any key of the block is bounded by the last key's example and window.
    high = tl.minimum(tl.load(end + first + BN - 1), first + BN - 1 + window)
    high = tl.minimum(high, T)
    keys_total = tl.zeros([BN, D], tl.float32)
    values_total = tl.zeros([BN, D], tl.float32)
    for at in range(first // BM * BM, high, BM):
        row = at + tl.arange(0, BM)
        query = tl.load(q + (head * T + row[:, None]) * D + col[None, :])
        do = tl.load(dout + head * head_stride + row[:, None] * token_stride + col[None, :])
        row_lse = tl.load(lse + head * T + row)
        row_delta = tl.load(delta + head * T + row)
        begin = tl.load(start + row)
        score = tl.dot(keys, tl.trans(query), input_precision=PRECISION)
        on = seen(row[None, :], place[:, None], begin[None, :], window)
        weight = tl.where(on, tl.exp(score - row_lse[None, :]), 0.0)
        values_total = tl.dot(weight.to(do.dtype), do, values_total, input_precision=PRECISION)
        dscore = tl.dot(values, tl.trans(do), input_precision=PRECISION)
        dscore = weight * (dscore - row_delta[None, :])
        keys_total = tl.dot(dscore.to(query.dtype), query, keys_total, input_precision=PRECISION)
    home = (head * T + place[:, None]) * D + col[None, :]
    tl.store(dk + home, keys_total.to(dk.dtype.element_ty))
    tl.store(dv + home, values_total.to(dv.dtype.element_ty))
