"""Predicts the GPU memory that a training of Gemma 3n needs, and chooses how to stay within it.

The sizes follow from the model's shapes and from what the step keeps (``gemma3n.layer.Saved``); a test
compares them with the peaks in ``tests/bench/measured.json``. All sizes are in bytes. This module imports
neither torch nor transformers, so that ``doctor`` can use it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from paperlora.environment.host.diagnosis import Fit
from paperlora.errors import InputError

GIB = 2**30
ACTIVATIONS = ("keep", "recompute", "offload")
"""What the forward pass keeps for the backward pass (``gemma3n.step``), the fastest first."""
LENGTHS = (512, 1024, 2048, 4096)
"""The values of ``model.max_length`` that ``doctor`` shows."""
FIXED = 96 * 2**20
"""Work space of the matrix library: for the stream, and again for the captured step."""
_PACKED = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of one weight: 4 bits, 8 bits of scale for 64 weights, 32 bits for 256 scales."""
_MARGIN = 0.06
"""The part of the free memory that torch's allocator may hold without using it."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of Gemma 3n's text half, by their names in ``config.json``; the defaults are E4B's."""

    vocab_size: int = 262_400
    vocab_size_per_layer_input: int = 262_144
    hidden_size: int = 2048
    hidden_size_per_layer_input: int = 256
    intermediate_size: int = 16_384
    num_hidden_layers: int = 35
    num_kv_shared_layers: int = 15
    num_attention_heads: int = 8
    num_key_value_heads: int = 2
    head_dim: int = 256
    altup_num_inputs: int = 4
    laurel_rank: int = 64
    itemsize: int = 2
    """Bytes of a number in the compute dtype; not in ``config.json``."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """How a training uses the GPU's memory, and why."""

    activations: str
    """One of ``ACTIVATIONS``."""
    table_on_host: bool
    """Whether the per-layer embeddings stay on the host."""
    gpu_bytes: int
    """The predicted peak."""
    reason: str


def shape(config: dict[str, Any], *, itemsize: int = 2) -> Shape:
    """Return the sizes in a model's ``config.json``."""
    text = config.get("text_config", config)
    found = {one.name: text[one.name] for one in fields(Shape) if one.name in text}
    if isinstance(widths := found.get("intermediate_size"), list):  # one for each layer
        found["intermediate_size"] = max(widths)
    return Shape(**found, itemsize=itemsize)


def table_bytes(s: Shape) -> int:
    """Return the size of the table of per-layer embeddings."""
    width = s.num_hidden_layers * s.hidden_size_per_layer_input
    return s.vocab_size_per_layer_input * width * s.itemsize


def weights_bytes(s: Shape) -> int:
    """Return the size of the packed model, without the table of per-layer embeddings."""
    attention = 2 * s.hidden_size * s.num_attention_heads * s.head_dim
    own_kv = 2 * s.hidden_size * s.num_key_value_heads * s.head_dim
    mlp = 3 * s.hidden_size * s.intermediate_size
    small = 2 * s.hidden_size * (s.laurel_rank + s.hidden_size_per_layer_input)
    linear = s.num_hidden_layers * (attention + mlp + small)
    linear += (s.num_hidden_layers - s.num_kv_shared_layers) * own_kv
    linear += 2 * (s.altup_num_inputs - 1) * s.hidden_size**2
    linear += s.hidden_size * s.num_hidden_layers * s.hidden_size_per_layer_input
    return int(linear * _PACKED) + s.vocab_size * s.hidden_size * s.itemsize


def trainable(s: Shape, rank: int) -> int:
    """Return the number of the adapter's parameters, if all seven projections are adapted."""
    attention = 2 * (s.hidden_size + s.num_attention_heads * s.head_dim)
    own_kv = 2 * (s.hidden_size + s.num_key_value_heads * s.head_dim)
    mlp = 3 * (s.hidden_size + s.intermediate_size)
    with_own_kv = s.num_hidden_layers - s.num_kv_shared_layers
    return rank * (s.num_hidden_layers * (attention + mlp) + with_own_kv * own_kv)


def peak(
    s: Shape,
    tokens: int,
    activations: str,
    *,
    rank: int,
    chunk: int = 256,
    eight_bit: bool = True,
    table_on_host: bool = True,
) -> int:
    """Return the most GPU memory that a training allocates at once.

    ``tokens`` is the length of a row, ``chunk`` that of ``memory.loss_chunk``; ``eight_bit`` says that
    the optimiser's two moments have 8 bits each, not 32.
    """
    # The MLP's group has the most adapters of one input; its extra columns come in multiples of 64.
    extra = -(-3 * rank // 64) * 64
    row = tokens * s.hidden_size * s.itemsize
    streams = s.altup_num_inputs * row
    query_width = s.num_attention_heads * s.head_dim
    heads = tokens * (query_width + 2 * s.num_key_value_heads * s.head_dim) * s.itemsize
    mixed = tokens * query_width * s.itemsize
    mlp = 3 * tokens * s.intermediate_size * s.itemsize
    # `gemma3n.layer.Saved`: the predictions, nine rows of the hidden width, the heads before and after
    # their rotation, attention's result twice, and the MLP's gate, up and activation.
    saved = streams + 9 * row + 2 * heads + 2 * mixed + mlp
    # Beside it, the backward pass holds one unpacked matrix and the gradients of streams and MLP.
    matrix = 2 * s.intermediate_size * (s.hidden_size + extra) * s.itemsize
    gradients = 2 * streams + tokens * (s.intermediate_size + extra) * s.itemsize
    kept = {
        "keep": s.num_hidden_layers * (saved + streams) - saved,
        "recompute": s.num_hidden_layers * streams,
        "offload": 3 * streams,  # one that leaves and two that come back
    }[activations]
    embeddings = 2 * tokens * s.num_hidden_layers * s.hidden_size_per_layer_input * s.itemsize
    loss = min(chunk, tokens) * s.vocab_size * s.itemsize + 2 * streams
    # A parameter has a master and a gradient in float32, a copy to compute with, and two moments.
    adapter = trainable(s, rank) * (4 + 4 + 2 + (2 if eight_bit else 8))
    table = 0 if table_on_host else table_bytes(s)
    step = embeddings + kept + max(saved + matrix + gradients, loss)
    return weights_bytes(s) + table + adapter + step + FIXED


def choose(
    s: Shape,
    tokens: int,
    free: int,
    *,
    wanted: str = "auto",
    table: str = "auto",
    **sizes: Any,  # noqa: ANN401 - those of ``peak``
) -> MemoryPlan:
    """Return the fastest plan that fits ``free`` bytes.

    ``wanted`` is ``memory.activations``, ``table`` is ``memory.embeddings``; ``auto`` leaves the choice
    to this function. Raises ``InputError``, which names the setting that would fit, when nothing fits.
    """
    room = int(free * (1 - _MARGIN))
    tried = ACTIVATIONS if wanted == "auto" else (wanted,)
    for activations in tried:
        for on_host in {"auto": (False, True), "host": (True,), "gpu": (False,)}[table]:
            need = peak(s, tokens, activations, table_on_host=on_host, **sizes)
            if need <= room:
                place = "on the host" if on_host else "on the GPU"
                return MemoryPlan(
                    activations=activations,
                    table_on_host=on_host,
                    gpu_bytes=need,
                    reason=f"activations {activations}, per-layer embeddings {place}: "
                    f"{need / GIB:.1f} GiB of the {free / GIB:.1f} GiB free",
                )
    for length in range(tokens, 0, -64):
        if peak(s, length, "offload", **sizes) <= room:
            remedy = (
                f"set memory.activations=offload and model.max_length={length}, or free GPU memory"
            )
            break
    else:
        least = peak(s, 64, "offload", **sizes) / GIB / (1 - _MARGIN)
        remedy = f"free GPU memory, or use a GPU with {least:.1f} GiB free or more"
    raise InputError(
        f"{tokens} tokens need {peak(s, tokens, tried[-1], **sizes) / GIB:.1f} GiB of GPU memory with "
        f"activations {tried[-1]}, {free / GIB:.1f} GiB are free",
        remedy=remedy,
    )


def fits() -> list[Fit]:
    """Return what Gemma 3n E4B needs at several lengths, the least memory first."""
    return [
        Fit(
            model="gemma-3n-e4b-it",
            max_length=length,
            gpu_bytes=peak(Shape(), length, activations, rank=8),
            note=f"activations {activations}",
        )
        for length in LENGTHS
        for activations in reversed(ACTIVATIONS)
    ]
