"""The training step of the whole model: the loss of one row, and the gradients of the adapters.

It mirrors transformers' ``Gemma3nTextModel.forward`` and ``Gemma3nForCausalLM.forward``. Tensors are in
the compute dtype; shapes use the letters of ``plain``.

The logits of a whole row never exist: the loss is taken in chunks of tokens. ``activations`` says what
the forward pass keeps for the backward pass. ``keep``: everything. ``recompute``: the input of each
layer, from which the rest is computed again (Chen et al. 2016). ``offload``: that input, on the host.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from paperlora.pipeline.model.gemma3n import layer as layers
from paperlora.pipeline.model.gemma3n import parameters, products
from paperlora.pipeline.model.gemma3n.packing import Row

if TYPE_CHECKING:
    from paperlora.pipeline.model.gemma3n.layer import Context, Saved

Tensor = torch.Tensor
SMALLEST_SQUARE = 1e-5
"""The least mean square that a stream is divided by; ``epsilon_tensor`` in ``Gemma3nTextModel``."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A row on the device; a captured step reads these tensors."""

    row: dict[str, Tensor]
    """The lists of ``packing.Row`` by their names, [T] int64 each."""
    embeddings: Tensor
    """The tokens' rows of the per-layer table, [T, layers * P]."""
    scale: Tensor
    """The factor of the gradient, a float32 scalar: one over the answer tokens of the batch."""
    host_buffers: list[Tensor]
    """Pinned memory for the layers' inputs, [S, T, H] for each layer, with ``offload``; else empty."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """The transformers model as the step reads it."""

    text: Any
    """The ``Gemma3nTextModel``."""
    head: Tensor
    """[V, H]"""
    cap: float
    """The bound of the logits; 0: none."""
    layers: list[parameters.Layer]
    adapters: parameters.Adapters
    ple_projection: parameters.Group
    embed: list[parameters.Group]
    """From the embedding to each stream but the first."""
    unembed: list[parameters.Group]
    """From each last stream but the first to the space of the first."""
    ops: Any
    """The module ``plain`` or ``fused``."""
    activations: str
    """``keep``, ``recompute`` or ``offload``."""
    chunk: int
    """How many tokens' logits exist at once."""


def read(tuned: Any, *, ops: Any, activations: str, chunk: int) -> Model:  # noqa: ANN401
    """Return the step's view of a peft model; the adapter's parameters move into one tensor."""
    base = tuned.get_base_model()
    text = getattr(base.model, "language_model", base.model)
    dtype, device = text.norm.weight.dtype, text.norm.weight.device
    adapters = parameters.gather(tuned, dtype, device)
    return Model(
        text=text,
        head=base.lm_head.weight,
        cap=text.config.final_logit_softcapping or 0.0,
        layers=[parameters.layer(module, adapters) for module in text.layers],
        adapters=adapters,
        ple_projection=parameters.group([text.per_layer_model_projection], adapters),
        embed=[parameters.group([module], adapters) for module in text.altup_projections],
        unembed=[parameters.group([module], adapters) for module in text.altup_unembed_projections],
        ops=ops,
        activations=activations,
        chunk=chunk,
    )


def inputs(model: Model, length: int) -> Inputs:
    """Return tensors on the device for a row of ``length`` tokens, to be filled."""
    like, config = model.text.norm.weight, model.text.config
    stream_shape = (config.altup_num_inputs, length, config.hidden_size)
    return Inputs(
        row={
            one.name: torch.zeros(length, dtype=torch.long, device=like.device)
            for one in fields(Row)
        },
        embeddings=like.new_zeros(
            length, config.num_hidden_layers * config.hidden_size_per_layer_input
        ),
        scale=torch.ones((), device=like.device),
        host_buffers=[
            torch.empty(stream_shape, dtype=like.dtype, pin_memory=True)
            for _ in model.layers
            if model.activations == "offload"
        ],
    )


def fill(model: Model, given: Inputs, row: Row, scale: float) -> None:
    """Copy a row into ``given``; of the per-layer table, only the rows of its tokens leave the host."""
    host = torch.tensor([getattr(row, name) for name in given.row])
    if given.scale.is_cuda:  # a copy from pageable memory would make the CPU wait
        host = host.pin_memory()
    on_host = dict(zip(given.row, host, strict=True))
    for name, tensor in given.row.items():
        tensor.copy_(on_host[name], non_blocking=True)
    model.text.embed_tokens_per_layer.look_up(on_host["ids"], given.embeddings)
    given.scale.fill_(scale)


def run(model: Model, given: Inputs, *, train: bool) -> Tensor:
    """Return the summed loss (nats) of a row, a float32 scalar; if ``train``, add to the gradients.

    The gradients are those of the loss times ``given.scale``, in ``model.adapters.gradient``.
    """
    with torch.no_grad():
        context, h = _first_streams(model, given)
        keep = train and model.activations == "keep"
        parked: list[Tensor] | OnHost = []
        if train and given.host_buffers:
            parked = OnHost(given.host_buffers, h.device)
        saved: list[Saved | None] = []
        for layer in model.layers:
            if train and not keep:
                parked.append(h)
            result, kept = layers.forward(context, layer, h, save=keep)
            assert result is not None  # noqa: S101 - `result` is True by default
            h = result
            saved.append(kept)
        if isinstance(parked, OnHost):
            parked.turn()
        loss, dh = _loss(model, h, given, train=train)
        del h, result  # the last streams are not needed again: the backward pass gets their memory
        if not train:
            return loss
        for layer in reversed(model.layers):
            one = saved.pop()
            if one is None:
                one = layers.forward(context, layer, parked.pop(), save=True, result=False)[1]
            assert one is not None  # noqa: S101 - `save` is True
            dh = layers.backward(context, layer, one, dh)
            del one  # or the next recomputation would hold two layers at once
        return loss


class OnHost:
    """Copies each layer's input to pinned memory while the next layer runs, and back before its use.

    The copies run on a stream of their own. A CUDA graph that captures the computation captures them too.
    """

    def __init__(self, buffers: list[Tensor], device: torch.device) -> None:
        """Use ``buffers``, one pinned tensor [S, T, H] for each layer."""
        self.buffers = buffers
        self.stream = torch.cuda.Stream(device)
        self.leaving: Tensor | None = None
        self.count = 0
        self.back: list[Tensor] = []

    def append(self, h: Tensor) -> None:
        """Start to copy ``h``, and wait for the copy before it, which had the time of a whole layer."""
        if self.leaving is not None:
            torch.cuda.current_stream().wait_stream(self.stream)
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.buffers[self.count].copy_(h, non_blocking=True)
        self.leaving = h  # a reference: its memory must not be used again before the copy ends
        self.count += 1

    def turn(self) -> None:
        """Wait for the last copy, and start to fetch the last input: no more will be appended."""
        last = self.leaving
        assert last is not None  # noqa: S101 - a model has layers
        torch.cuda.current_stream().wait_stream(self.stream)
        self.leaving = None
        self.back = [torch.empty_like(last), torch.empty_like(last)]
        self._fetch(self.count - 1)

    def _fetch(self, index: int) -> None:
        if index < 0:
            return
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.back[index % 2].copy_(self.buffers[index], non_blocking=True)

    def pop(self) -> Tensor:
        """Return the last input, valid until the next ``pop``, and start to fetch the one before."""
        self.count -= 1
        torch.cuda.current_stream().wait_stream(self.stream)
        self._fetch(self.count - 1)
        return self.back[self.count % 2]


def _root_mean_square(x: Tensor, smallest: float | None = None) -> Tensor:
    """Return the root of the mean square of each row, [T, 1], of at least ``smallest`` if given."""
    square = x.square().mean(-1, keepdim=True)
    return (square if smallest is None else square.clamp_min(smallest)).sqrt()


def _first_streams(model: Model, given: Inputs) -> tuple[Context, Tensor]:
    """Return what the layers share, and the streams [S, T, H] that enter the first of them.

    Mirrors ``Gemma3nTextModel.project_per_layer_inputs`` and the expansion to S streams in ``forward``.
    """
    text, config, ops = model.text, model.text.config, model.ops
    first = text.embed_tokens(given.row["ids"])
    projected = products.forward(ops, model.ple_projection, first)
    shape = (len(first), config.num_hidden_layers, -1)
    own = text.per_layer_projection_norm((projected * config.hidden_size**-0.5).view(shape))
    embeddings = (own + given.embeddings.view(shape)) * 2**-0.5
    magnitude = _root_mean_square(first.float())
    streams = [first]
    for one in model.embed:
        other = products.forward(ops, one, first).float()
        scaled = other * magnitude / _root_mean_square(other, SMALLEST_SQUARE)
        streams.append(scaled.to(first.dtype))
    return _context(model, given, embeddings), torch.stack(streams)


def _context(model: Model, given: Inputs, embeddings: Tensor) -> Context:
    """Return what the layers share; its cosines and sines mirror ``Gemma3nRotaryEmbedding.forward``."""
    text, config = model.text, model.text.config
    positions = given.row["positions"][:, None].float()
    rotary = {}
    for sliding, name in ((True, "sliding_attention"), (False, "full_attention")):
        angles = positions * getattr(text.rotary_emb, f"{name}_inv_freq")[None].float()
        scaling = getattr(text.rotary_emb, f"{name}_attention_scaling")
        rotary[sliding] = angles.cos() * scaling, angles.sin() * scaling
    return layers.Context(
        ops=model.ops,
        rotary=rotary,
        bounds=(given.row["starts"], given.row["ends"]),
        windows={True: config.sliding_window, False: len(positions)},
        embeddings=embeddings,
    )


def _loss(model: Model, h: Tensor, given: Inputs, *, train: bool) -> tuple[Tensor, Tensor]:
    """Return the summed loss and the gradient of the last streams ``h`` [S, T, H].

    Without ``train`` the second result has no meaning.
    """
    with torch.set_grad_enabled(train):
        leaf = h.detach().requires_grad_(train)
        out = _last_hidden(model, leaf)
    hidden = out.detach()
    dhidden = torch.empty_like(hidden)
    losses = torch.empty(len(hidden), device=hidden.device)
    for start in range(0, len(hidden), model.chunk):
        rows = slice(start, start + model.chunk)
        logits = hidden[rows] @ model.head.T
        model.ops.cross_entropy(
            logits, given.row["labels"][rows], model.cap, given.scale, losses[rows]
        )
        if train:  # `logits` now holds its gradient
            torch.mm(logits, model.head, out=dhidden[rows])
        del logits
    if not train:
        return losses.sum(), dhidden
    return losses.sum(), torch.autograd.grad(out, leaf, dhidden)[0]


def _last_hidden(model: Model, h: Tensor) -> Tensor:
    """Return the normed mean [T, H] of the streams [S, T, H], each mapped to the first one's magnitude.

    Mirrors the end of ``Gemma3nTextModel.forward``.
    """
    total = h[0].float()
    magnitude = _root_mean_square(total)
    for one, stream in zip(model.unembed, h[1:], strict=True):
        with torch.no_grad():
            matrix = products.expand(model.ops, one, stream)
        other = F.linear(stream, matrix).float()
        total = total + other * magnitude / _root_mean_square(other, SMALLEST_SQUARE)
    out: Tensor = model.text.norm((total / len(h)).to(h.dtype))
    return out
