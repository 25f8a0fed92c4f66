"""Makes 4-bit linear layers exact on a CPU, and faster where there is enough host memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import bitsandbytes
import psutil
import torch
import torch.nn.functional as F
from bitsandbytes.functional import dequantize_4bit


def prepare(model: Any) -> None:  # noqa: ANN401 - transformers carries no types
    """Change the 4-bit layers of ``model`` in place, for a CPU.

    bitsandbytes unpacks a layer's weight for each product, forward and backward. If all weights in
    float32 take at most a quarter of the available memory, this function unpacks them once and keeps
    them: the same numbers in a quarter less time.

    It also stops bitsandbytes from repacking weights. On a CPU with AVX512-BF16, bitsandbytes 0.50
    repacks a layer at its first use without gradients, such as a validation. That rounds the scales
    to bfloat16 for good, and later training steps use a product that returns no gradient.
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
    """Return x W^T + b, computed in the weight's dtype, returned in that of ``x``, as bitsandbytes does."""
    added = None if bias is None else bias.to(weight.dtype)
    return F.linear(x.to(weight.dtype), weight, added).to(x.dtype)
