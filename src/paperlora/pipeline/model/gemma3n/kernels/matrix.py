"""Triton kernels over the large matrices: unpacking NF4 weights, and the loss over a vocabulary."""

from __future__ import annotations

import triton
import triton.language as tl

from paperlora.pipeline.model.gemma3n.kernels.streams import tanh


@triton.jit
def expand(
    packed, absmax, code, outer_absmax, outer_code, offset, out, b, columns, out_stride, place, scale,
    R: tl.constexpr, EXTRA: tl.constexpr, BE: tl.constexpr,
    OUTER: tl.constexpr, NB: tl.constexpr,
):  # fmt: skip
    """Unpack NB blocks of 64 weights of one row, in one pass over both levels of quantisation.

    bitsandbytes packs two codes a byte, the first in the high half; a block's scale is itself a code
    of 8 bits with a scale for every OUTER blocks and one offset. The program of a row's first
    columns also writes the extra ones: the row of B times ``scale`` at ``place``, nought elsewhere.
    """
    row = tl.program_id(0).to(tl.int64)
    blocks = columns // 64
    block = tl.program_id(1) * NB + tl.arange(0, NB)
    on = block < blocks
    index = row * blocks + block
    inner = tl.load(absmax + index, mask=on, other=0).to(tl.int32)
    size = tl.load(outer_code + inner) * tl.load(outer_absmax + index // OUTER, mask=on, other=0.0)
    size += tl.load(offset)
    half = tl.arange(0, 32)
    both = on[:, None] & (half[None, :] >= 0)
    byte = tl.load(packed + index[:, None] * 32 + half[None, :], mask=both, other=0).to(tl.int32)
    high = tl.load(code + (byte >> 4)) * size[:, None]
    low = tl.load(code + (byte & 15)) * size[:, None]
    values = tl.interleave(high, low)
    col = tl.arange(0, 64)
    home = out + row * out_stride + block[:, None] * 64 + col[None, :]
    tl.store(home, values.to(out.dtype.element_ty), mask=on[:, None] & (col[None, :] >= 0))
    if EXTRA > 0:
        if tl.program_id(1) == 0:
            beyond = tl.arange(0, BE)
            mine = beyond - place
            on_b = (mine >= 0) & (mine < R)
            value = tl.load(b + row * R + mine, mask=on_b, other=0.0).to(tl.float32) * scale
            rounded = value.to(out.dtype.element_ty)
            tl.store(out + row * out_stride + columns + beyond, rounded, mask=beyond < EXTRA)


@triton.jit
def cross_entropy(logits, labels, losses, scale, V, cap, B: tl.constexpr):
    """See ``plain.cross_entropy``; a program a token.

    Since the cap bounds the logits, it serves as their maximum and the exponentials need no search for one.
    """
    t = tl.program_id(0).to(tl.int64)
    row = logits + t * V
    col = tl.arange(0, B)
    label = tl.load(labels + t)
    if label < 0:
        tl.store(losses + t, 0.0)
        for start in range(0, V, B):
            tl.store(
                row + start + col, tl.zeros([B], logits.dtype.element_ty), mask=start + col < V
            )
    else:
        total = tl.zeros([B], tl.float32)
        for start in range(0, V, B):
            on = start + col < V
            z = cap * tanh(tl.load(row + start + col, mask=on, other=0.0).to(tl.float32) / cap)
            total += tl.where(on, tl.exp(z - cap), 0.0)
        whole = tl.sum(total, 0)
        mine = cap * tanh(tl.load(row + label).to(tl.float32) / cap)
        tl.store(losses + t, tl.log(whole) + cap - mine)
        factor = tl.load(scale)
        tl.debug_barrier()
        for start in range(0, V, B):
            on = start + col < V
            bounded = tanh(tl.load(row + start + col, mask=on, other=0.0).to(tl.float32) / cap)
            share = tl.exp(cap * bounded - cap) / whole - tl.where(start + col == label, 1.0, 0.0)
            gradient = share * (1.0 - bounded * bounded) * factor
            tl.store(row + start + col, gradient.to(logits.dtype.element_ty), mask=on)
