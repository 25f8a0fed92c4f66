"""Triton kernels over the large matrices: the unpacking of NF4 weights, and the loss over a vocabulary."""

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
    """Unpack NB blocks of 64 weights of one row; see ``plain.expand``.

    The format is bitsandbytes' NF4 with double quantisation. A byte holds two codes of 4 bits, the
    first in its high half. The scale of a block of 64 is itself a code of 8 bits: it is looked up in
    ``outer_code``, multiplied by the scale that OUTER blocks share, and ``offset`` is added.

    The program of a row's first blocks also writes the EXTRA columns beside the weights: the row of
    an adapter's B [rows, R] times ``scale`` from column ``place`` on, and zero elsewhere.
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
    both = on[:, None] & (half[None, :] >= 0)  # always true; gives the mask its second dimension
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
    """Turn the logits of one token into their gradient; see ``plain.cross_entropy``.

    A stable softmax subtracts the maximum first. The cap bounds the logits, so it is subtracted
    instead, which saves a pass over the row.
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
        tl.debug_barrier()  # no thread may overwrite the logits while another still reads the label's
        for start in range(0, V, B):
            on = start + col < V
            bounded = tanh(tl.load(row + start + col, mask=on, other=0.0).to(tl.float32) / cap)
            share = tl.exp(cap * bounded - cap) / whole - tl.where(start + col == label, 1.0, 0.0)
            gradient = share * (1.0 - bounded * bounded) * factor
            tl.store(row + start + col, gradient.to(logits.dtype.element_ty), mask=on)
