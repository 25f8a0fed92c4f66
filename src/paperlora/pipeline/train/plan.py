"""What a training of Gemma 3n will hold on the GPU, said before anything is loaded.

The sizes follow from the shapes and from what the step keeps (``gemma3n.layer``); ``tests/gpu`` holds
them against what was measured. Imports neither torch nor transformers, so that ``doctor`` can ask too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paperlora.environment.host.diagnosis import Fit
from paperlora.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

GIB = 2**30
ACTIVATIONS = ("keep", "recompute", "offload")
LENGTHS = (512, 1024, 2048, 4096)
_PACKED = 0.5 + 1 / 64 + 4 / (64 * 256)  # bytes a weight in NF4, its scales quantised again
_FIXED = 96 * 2**20  # work space of the matrix library, on the stream and in its captured twin
_MARGIN = 0.06  # of the GPU's free memory: what the allocator holds and does not use


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a Gemma 3n's text half; the defaults are those of E4B."""

    vocabulary: int = 262_400
    table: int = 262_144
    hidden: int = 2048
    per_layer: int = 256
    width: int = 16_384
    layers: int = 35
    shared: int = 15
    heads: int = 8
    kv_heads: int = 2
    head: int = 256
    streams: int = 4
    laurel: int = 64
    number: int = 2
    """Bytes of a number in the compute dtype."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a training runs with, and why."""

    activations: str
    table_on_host: bool
    gpu_bytes: int
    reason: str


def shape(config: dict[str, Any], *, number: int = 2) -> Shape:
    """Read the sizes from a model's ``config.json``."""
    text = config.get("text_config", config)
    names = {
        "vocabulary": "vocab_size",
        "table": "vocab_size_per_layer_input",
        "hidden": "hidden_size",
        "per_layer": "hidden_size_per_layer_input",
        "layers": "num_hidden_layers",
        "shared": "num_kv_shared_layers",
        "heads": "num_attention_heads",
        "kv_heads": "num_key_value_heads",
        "head": "head_dim",
        "streams": "altup_num_inputs",
        "laurel": "laurel_rank",
    }
    found = {ours: int(text[theirs]) for ours, theirs in names.items() if theirs in text}
    width = text.get("intermediate_size", Shape.width)
    return Shape(
        **found, width=max(width) if isinstance(width, list) else int(width), number=number
    )


def table_bytes(s: Shape) -> int:
    """Return the size of the table of per-layer embeddings."""
    return s.table * s.layers * s.per_layer * s.number


def weights_bytes(s: Shape) -> int:
    """Return what the packed model takes, its table left out."""
    attention = 2 * s.hidden * s.heads * s.head
    own = 2 * s.hidden * s.kv_heads * s.head
    rest = 3 * s.hidden * s.width + 2 * s.hidden * (s.laurel + s.per_layer)
    linear = s.layers * (attention + rest) + (s.layers - s.shared) * own
    linear += 2 * (s.streams - 1) * s.hidden**2 + s.hidden * s.layers * s.per_layer
    return int(linear * _PACKED) + s.vocabulary * s.hidden * s.number


def trainable(s: Shape, rank: int) -> int:
    """Return the adapter's parameters, with all seven projections adapted."""
    attention = 2 * (s.hidden + s.heads * s.head)
    own = 2 * (s.hidden + s.kv_heads * s.head)
    mlp = 3 * (s.hidden + s.width)
    return rank * (s.layers * (attention + mlp) + (s.layers - s.shared) * own)


def step_bytes(s: Shape, tokens: int, activations: str, *, rank: int, chunk: int) -> int:
    """Return what a step over ``tokens`` holds at its peak, beyond weights and adapter."""
    extra = -(-3 * rank // 64) * 64
    stream = tokens * s.hidden * s.number
    heads = tokens * (s.heads + 2 * s.kv_heads) * s.head * s.number
    mixed = tokens * s.heads * s.head * s.number
    # What a layer saves: predictions, nine rows of the hidden width, the heads before and after they
    # are turned, attention's result before and after it is widened, and the MLP's three.
    saved = (
        s.streams * stream + 9 * stream + 2 * heads + 2 * mixed + 3 * tokens * s.width * s.number
    )
    matrix = 2 * s.width * (s.hidden + extra) * s.number
    outward = 2 * s.streams * stream + tokens * (s.width + extra) * s.number
    entries = {
        "keep": s.layers * (saved + s.streams * stream) - saved,
        "recompute": s.layers * s.streams * stream,
        "offload": 3 * s.streams * stream,
    }[activations]
    inputs = 2 * tokens * s.layers * s.per_layer * s.number
    loss = min(chunk, tokens) * s.vocabulary * s.number + 2 * s.streams * stream
    return inputs + entries + max(saved + matrix + outward, loss)


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
    """Return the most GPU memory, in bytes, that a training allocates at once."""
    adapter = trainable(s, rank) * (4 + 4 + 2 + (2 if eight_bit else 8))
    table = 0 if table_on_host else table_bytes(s)
    step = step_bytes(s, tokens, activations, rank=rank, chunk=chunk)
    return weights_bytes(s) + table + adapter + step + _FIXED


def choose(
    s: Shape,
    tokens: int,
    free: int,
    *,
    wanted: str = "auto",
    table: str = "auto",
    **sizes: Any,  # noqa: ANN401
) -> Settings:
    """Return the fastest settings that fit ``free`` bytes, or those that are ``wanted``.

    Raises ``InputError``, naming the setting that would fit, when none does.
    """
    room = int(free * (1 - _MARGIN))
    tried: Sequence[str] = ACTIVATIONS if wanted == "auto" else (wanted,)
    for activations in tried:
        for on_host in {"auto": (False, True), "host": (True,), "gpu": (False,)}[table]:
            need = peak(s, tokens, activations, table_on_host=on_host, **sizes)
            if need <= room:
                place = "on the host" if on_host else "on the GPU"
                reason = (
                    f"activations {activations}, per-layer embeddings {place}: {need / GIB:.1f} GiB of "
                    f"the {free / GIB:.1f} GiB free"
                )
                return Settings(
                    activations=activations, table_on_host=on_host, gpu_bytes=need, reason=reason
                )
    raise InputError(
        f"{tokens} tokens need {peak(s, tokens, tried[-1], **sizes) / GIB:.1f} GiB of GPU memory with "
        f"activations {tried[-1]}, {free / GIB:.1f} GiB are free",
        remedy=_smaller(s, tokens, room, **sizes),
    )


def _smaller(s: Shape, tokens: int, room: int, **sizes: Any) -> str:  # noqa: ANN401
    """Name the settings that would fit."""
    for length in range(tokens, 0, -64):
        if peak(s, length, "offload", **sizes) <= room:
            return f"set memory.activations=offload and model.max_length={length}, or free some"
    least = peak(s, 64, "offload", **sizes)
    return f"free some, or use a GPU with {least / GIB / (1 - _MARGIN):.1f} GiB free or more"


def fits() -> list[Fit]:
    """Return what Gemma 3n E4B needs at several lengths: the least, and the fastest way."""
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
