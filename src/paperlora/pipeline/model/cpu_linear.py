"""4-bit linear layers on a CPU: fast where the host has the memory, and exact."""

from __future__ import annotations

from functools import partial
from typing import Any

import bitsandbytes
import psutil
import torch
import torch.nn.functional as F
from bitsandbytes.functional import dequantize_4bit


def settle(model: Any) -> None:  # noqa: ANN401 - transformers carries no types
    """Make the 4-bit layers fast and exact on a CPU.

    bitsandbytes expands a layer's weight for each product, forward and backward; where the host has
    plenty of memory, the expanded weight is kept instead: the same numbers, in a quarter less time.

    Elsewhere it is kept from repacking the weights: on a CPU with AVX512-BF16, bitsandbytes 0.50
    does so at a layer's first use without gradients (a validation, say), which rounds the scales
    to bfloat16 for good and lets later training steps run through a product that passes no
    gradient on.
    """
    layers = [m for m in model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    size = sum(4 * layer.in_features * layer.out_features for layer in layers)
    plenty = size <= psutil.virtual_memory().available / 4
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
        if plenty:
            weight = layer.weight
            full = dequantize_4bit(weight.data, weight.quant_state).to(layer.compute_dtype)
            layer.forward = partial(_product, weight=full, bias=layer.bias)


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return x W^T + b in the weight's dtype, handed back in that of ``x``, as bitsandbytes does."""
    added = None if bias is None else bias.to(weight.dtype)
    return F.linear(x.to(weight.dtype), weight, added).to(x.dtype)
