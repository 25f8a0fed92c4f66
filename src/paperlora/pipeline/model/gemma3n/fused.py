"""The operations of ``plain`` as Triton kernels: this module allocates the outputs and launches them.

The function of the same name in ``plain`` documents meaning and shapes. An operation is one launch and one
pass over its data, where autograd takes dozens. Triton compiles at first use, with a C compiler and
Python's headers; ``obstacle`` names what is missing.
"""

from __future__ import annotations

import functools
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import triton

from paperlora.pipeline.model.gemma3n import plain
from paperlora.pipeline.model.gemma3n.kernels import attention as flash
from paperlora.pipeline.model.gemma3n.kernels import matrix, streams
from paperlora.pipeline.model.gemma3n.kernels import tokens as rows

if TYPE_CHECKING:
    from paperlora.pipeline.model.gemma3n.parameters import Layer, Projection
    from paperlora.pipeline.model.gemma3n.plain import Pair

Tensor = torch.Tensor


def obstacle(dtype: torch.dtype) -> str | None:
    """Return why the kernels cannot run on this machine, in words, or None if they can."""
    # Heads of width 256 in float32 need more shared memory than a GPU without bfloat16 has.
    if dtype == torch.float32:
        return "the GPU has no bfloat16"
    if not any(shutil.which(name) for name in ("gcc", "clang")):
        return "there is no C compiler (gcc or clang)"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "Python's headers are missing (python3-dev)"
    return None


def _width(size: int) -> int:
    """Return the width of a block that holds ``size`` columns: Triton takes powers of two only."""
    return int(triton.next_power_of_2(size))


def _streams(h: Tensor) -> dict[str, int]:
    return {"S": len(h), "BH": _width(h.shape[-1])}


def predict(layer: Layer, h: Tensor, x: Tensor) -> Tensor:
    p = torch.empty_like(h)
    _, tokens, hidden = h.shape
    streams.predict[(tokens,)](
        h, p, x, layer.router_norm, layer.router, layer.predict, layer.input_norm,
        tokens, hidden, x.stride(0), layer.eps, **_streams(h), num_warps=8,
    )  # fmt: skip
    return p


def predict_backward(layer: Layer, h: Tensor, dp: Tensor, skip: Tensor, dx: Tensor) -> Tensor:
    dh = torch.empty_like(h)
    _, tokens, hidden = h.shape
    streams.predict_backward[(tokens,)](
        h, dp, skip, dx, dh, layer.router_norm, layer.router, layer.predict, layer.input_norm,
        tokens, hidden, dx.stride(0), layer.eps, **_streams(h), num_warps=8,
    )  # fmt: skip
    return dh


def rotate(y: Tensor, weight: Tensor | None, eps: float, rotary: Pair | None, heads: int) -> Tensor:
    tokens, width = y.shape
    out = y.new_empty(heads, tokens, width // heads)
    cos, sin = rotary or (out, out)  # any pointer: without TURN they are not read
    rows.rotate[(tokens, heads)](
        y, out, out if weight is None else weight, cos, sin, tokens, y.stride(0), eps,
        D=width // heads, NORM=weight is not None, TURN=rotary is not None, num_warps=1,
    )  # fmt: skip
    return out


def rotate_backward(
    y: Tensor, weight: Tensor | None, eps: float, rotary: Pair | None, dout: Tensor, dy: Tensor
) -> None:
    heads, tokens, width = dout.shape
    if dout.stride(2) != 1:  # the kernel reads a head as neighbours in memory
        dout = dout.contiguous()
    cos, sin = rotary or (y, y)
    rows.rotate_backward[(tokens, heads)](
        y, dout, dy, y if weight is None else weight, cos, sin,
        y.stride(0), dy.stride(0), dout.stride(0), dout.stride(1), eps,
        D=width, NORM=weight is not None, TURN=rotary is not None, num_warps=1,
    )  # fmt: skip


@functools.cache
def _blocks(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Return how many queries and keys a block holds, and the precision of its products.

    64 where a block may have 200 kB of shared memory, as on an H100; 32 elsewhere. Products of
    float32, which only tests use, are exact.
    """
    if dtype == torch.float32:
        return {"BM": 32, "BN": 32, "PRECISION": "ieee"}
    properties: Any = torch.cuda.get_device_properties(device)
    size = 64 if properties.shared_memory_per_block_optin >= 200_000 else 32
    return {"BM": size, "BN": size, "PRECISION": "tf32"}


def attend(
    q: Tensor, k: Tensor, v: Tensor, bounds: Pair, window: int
) -> tuple[Tensor, Tensor | None]:
    """Return attention and ``lse`` (``kernels.attention``), float32 [heads, T]; see ``plain.attend``."""
    heads, tokens, width = q.shape
    out = torch.empty_like(q)
    lse = q.new_empty(heads, tokens, dtype=torch.float32)
    blocks = _blocks(q.device, q.dtype)
    flash.forward[(tokens // blocks["BM"], heads)](
        q, k, v, bounds[0], out, lse, tokens, window, GROUP=heads // len(k), D=width,
        **blocks, num_warps=8, num_stages=2,
    )  # fmt: skip
    return out, lse


def attend_backward(
    inputs: tuple[Tensor, Tensor, Tensor],
    bounds: Pair,
    window: int,
    attention: tuple[Tensor, Tensor | None],
    dout: Tensor,
) -> tuple[Tensor, ...]:
    q, k, v = inputs
    out, lse = attention
    heads, tokens, width = q.shape
    assert lse is not None  # noqa: S101 - `attend` above returned it
    delta = torch.empty_like(lse)
    flash.deltas[(tokens, heads)](
        out, dout, delta, tokens, dout.stride(0), dout.stride(1), D=width, num_warps=1
    )
    dq, dk, dv = torch.empty_like(q), torch.empty_like(q), torch.empty_like(q)
    blocks = _blocks(q.device, q.dtype)
    grid = (tokens // blocks["BM"], heads)
    strides = (dout.stride(0), dout.stride(1))
    shape = {"GROUP": heads // len(k), "D": width, **blocks}
    flash.backward_queries[grid](
        q, k, v, bounds[0], dout, lse, delta, dq, tokens, window, *strides, **shape,
        num_warps=8, num_stages=1,
    )  # fmt: skip
    flash.backward_keys[grid](
        q, k, v, *bounds, dout, lse, delta, dk, dv, tokens, window, *strides, **shape,
        num_warps=8, num_stages=1,
    )  # fmt: skip
    # Query heads that share keys are summed here, in a fixed order, so that a run can be repeated.
    grouped = (len(k), heads // len(k), tokens, width)
    return dq, dk.view(grouped).sum(1), dv.view(grouped).sum(1)


def combine(layer: Layer, o: Tensor, p0: Tensor, x: Tensor, low: Tensor, f: Tensor) -> Tensor:
    a = torch.empty_like(o)
    tokens, hidden = o.shape
    rows.combine[(tokens,)](
        o, p0, x, low, a, f, layer.attention_norm, layer.laurel_norm, layer.before_mlp_norm,
        hidden, x.stride(0), f.stride(0), layer.eps, BH=_width(hidden), num_warps=8,
    )  # fmt: skip
    return a


def combine_backward(
    layer: Layer, o: Tensor, low: Tensor, a: Tensor, da: Tensor, df: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    do, dlow, skip = torch.empty_like(o), torch.empty_like(o), torch.empty_like(o)
    tokens, hidden = o.shape
    rows.combine_backward[(tokens,)](
        o, low, a, da, df, do, dlow, skip,
        layer.attention_norm, layer.laurel_norm, layer.before_mlp_norm,
        hidden, df.stride(0), layer.eps, BH=_width(hidden), num_warps=8,
    )  # fmt: skip
    return do, dlow, skip


def activate(y: Tensor, cutoff: float | None, h: Tensor) -> None:
    width = y.shape[1] // 2
    rows.activate[(len(y),)](
        y, h, cutoff or 0.0, width, y.stride(0), h.stride(0),
        SPARSE=cutoff is not None, B=min(_width(width), 2048), num_warps=8,
    )  # fmt: skip


def activate_backward(y: Tensor, cutoff: float | None, dh: Tensor) -> None:
    width = y.shape[1] // 2
    rows.activate_backward[(len(y),)](
        y, dh, cutoff or 0.0, width, y.stride(0), dh.stride(0),
        SPARSE=cutoff is not None, B=min(_width(width), 2048), num_warps=8,
    )  # fmt: skip


def correct(
    layer: Layer, a: Tensor, m: Tensor, p: Tensor, *, keep: bool
) -> tuple[Tensor | None, Tensor]:
    q = torch.empty_like(p) if keep else None
    u = torch.empty_like(a)
    _, tokens, hidden = p.shape
    streams.correct[(tokens,)](
        a, m, p, p if q is None else q, u, layer.after_mlp_norm, layer.router_norm, layer.router,
        layer.correct, layer.output_scale, tokens, hidden, layer.eps,
        KEEP=keep, **_streams(p), num_warps=8,
    )  # fmt: skip
    return q, u


def correct_backward(layer: Layer, a: Tensor, m: Tensor, p: Tensor, dq: Tensor, du: Tensor) -> Pair:
    da, dm = torch.empty_like(a), torch.empty_like(m)
    _, tokens, hidden = p.shape
    streams.correct_backward[(tokens,)](
        a, m, p, dq, du, da, dm, layer.after_mlp_norm, layer.router_norm, layer.router,
        layer.correct, layer.output_scale, tokens, hidden, layer.eps, **_streams(p), num_warps=8,
    )  # fmt: skip
    return da, dm


def gate_ple(g: Tensor, e: Tensor) -> Tensor:
    z = torch.empty_like(g)
    width = g.shape[1]
    rows.gate_ple[(len(g),)](g, e, z, width, e.stride(0), B=_width(width), num_warps=1)
    return z


def gate_ple_backward(g: Tensor, e: Tensor, dz: Tensor) -> Tensor:
    dg = torch.empty_like(g)
    width = g.shape[1]
    rows.gate_ple_backward[(len(g),)](
        g, e, dz, dg, width, e.stride(0), B=_width(width), num_warps=1
    )
    return dg


def add_ple(layer: Layer, q: Tensor, y: Tensor) -> None:
    _, tokens, hidden = q.shape
    streams.add_ple[(tokens,)](
        q, y, layer.ple_norm, tokens, hidden, layer.eps, **_streams(q), num_warps=4
    )


def add_ple_backward(layer: Layer, y: Tensor, dq: Tensor) -> Tensor:
    dy = torch.empty_like(y)
    _, tokens, hidden = dq.shape
    streams.add_ple_backward[(tokens,)](
        y, dq, dy, layer.ple_norm, tokens, hidden, layer.eps, **_streams(dq), num_warps=4
    )
    return dy


def expand(one: Projection, out: Tensor, place: int) -> None:
    state, pair = one.state, one.adapter
    # The kernel has only NF4 with double quantisation, in whole blocks of 64.
    if state is None or not state.nested or state.blocksize != 64 or one.columns % 64:
        plain.expand(one, out, place)
        return
    extra = out.shape[1] - one.columns
    blocks = min(32, _width(one.columns // 64))
    matrix.expand[(one.rows, triton.cdiv(one.columns // 64, blocks))](
        one.weight.data, state.absmax, state.code, state.state2.absmax, state.state2.code, state.offset,
        out, pair.b if pair else out, one.columns, out.stride(0), place, pair.scale if pair else 0.0,
        R=pair.b.shape[1] if pair else 0, EXTRA=extra, BE=_width(max(extra, 1)),
        OUTER=state.state2.blocksize, NB=blocks, num_warps=4,
    )  # fmt: skip


def cross_entropy(
    logits: Tensor, labels: Tensor, cap: float, scale: Tensor, losses: Tensor
) -> None:
    if not cap:  # the kernel needs one, to bound its exponentials
        plain.cross_entropy(logits, labels, cap, scale, losses)
        return
    tokens, vocabulary = logits.shape
    matrix.cross_entropy[(tokens,)](
        logits, labels, losses, scale, vocabulary, cap, B=min(4096, _width(vocabulary)), num_warps=8
    )
