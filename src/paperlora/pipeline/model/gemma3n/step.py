"""The whole model's loss and the adapters' gradients, for rows of fixed length.

Ids and per-layer embeddings come in; the streams go through the layers; the loss is taken in chunks
of tokens, so that the logits of a whole row never exist. With ``recompute``, a layer keeps its input
and makes the rest again in the backward half (Chen et al. 2016); with ``offload``, that input waits
on the host; with ``keep``, a layer keeps everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from paperlora.pipeline.model.gemma3n import layer as layers
from paperlora.pipeline.model.gemma3n import parameters, products
from paperlora.pipeline.model.gemma3n.layer_inputs import OnDevice, OnHost

if TYPE_CHECKING:
    from paperlora.pipeline.model.gemma3n.layer import Context, Saved
    from paperlora.pipeline.model.gemma3n.packing import Row

Tensor = torch.Tensor
SMALLEST_SQUARE = 1e-5  # as in the published model, which bounds a mean square by it


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A row on the device; a captured step reads these very tensors."""

    ids: Tensor
    positions: Tensor
    starts: Tensor
    ends: Tensor
    labels: Tensor
    embeddings: Tensor
    """The tokens' rows of the per-layer table, [T, layers * P]."""
    scale: Tensor
    """What the gradient is multiplied by: one over the tokens of the accumulated batch."""
    rooms: list[Tensor]
    """Pinned memory on the host for the layers' inputs, if they are to wait there."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """The transformers model as the step reads it."""

    text: Any
    """The ``Gemma3nTextModel``."""
    head: Tensor
    """[vocabulary, hidden]"""
    cap: float
    layers: list[parameters.Layer]
    adapters: parameters.Adapters
    ple_projection: parameters.Projection
    unembed: list[parameters.Projection]
    embed: list[parameters.Projection]
    ops: Any
    activations: str
    """``keep``, ``recompute`` or ``offload``."""
    chunk: int
    """Tokens whose logits exist at once."""


def read(tuned: Any, *, ops: Any, activations: str, chunk: int) -> Model:  # noqa: ANN401
    """Return the step's view of a peft model; the adapter's parameters move into one stretch."""
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
        ple_projection=parameters.projection(text.per_layer_model_projection, adapters),
        unembed=[parameters.projection(m, adapters) for m in text.altup_unembed_projections],
        embed=[parameters.projection(m, adapters) for m in text.altup_projections],
        ops=ops,
        activations=activations,
        chunk=chunk,
    )


def inputs(model: Model, length: int) -> Inputs:
    """Return room for a row of ``length`` tokens on the device."""
    like = model.text.norm.weight
    config = model.text.config
    whole = {"dtype": torch.long, "device": like.device}
    return Inputs(
        ids=torch.zeros(length, **whole),
        positions=torch.zeros(length, **whole),
        starts=torch.zeros(length, **whole),
        ends=torch.zeros(length, **whole),
        labels=torch.full((length,), -100, **whole),
        embeddings=like.new_zeros(
            length, config.num_hidden_layers * config.hidden_size_per_layer_input
        ),
        scale=torch.ones((), device=like.device),
        rooms=[
            torch.empty(
                (config.altup_num_inputs, length, config.hidden_size),
                dtype=like.dtype,
                pin_memory=True,
            )
            for _ in model.layers
            if model.activations == "offload"
        ],
    )


def fill(model: Model, room: Inputs, row: Row, scale: float) -> None:
    """Put a row into ``room``; only the rows of the per-layer table that it names leave the host."""
    host = torch.tensor([row.ids, row.positions, row.starts, row.ends, row.labels])
    if room.ids.is_cuda:
        host = host.pin_memory()
    places = (room.ids, room.positions, room.starts, room.ends, room.labels)
    for place, source in zip(places, host, strict=True):
        place.copy_(source, non_blocking=True)
    model.text.embed_tokens_per_layer.look_up(host[0], room.embeddings)
    room.scale.fill_(scale)


def run(model: Model, given: Inputs, *, train: bool) -> Tensor:
    """Return the summed loss (nats) of a row; with ``train``, add to the adapters' gradients too."""
    with torch.no_grad():
        context, h = _front(model, given)
        keep = train and model.activations == "keep"
        entries = OnHost(given.rooms, h.device) if train and given.rooms else OnDevice()
        saved: list[Saved | None] = []
        for layer in model.layers:
            if train and not keep:
                entries.put(h)
            made, kept = layers.forward(context, layer, h, save=keep)
            assert made is not None  # noqa: S101 - it is asked for
            h = made
            saved.append(kept)
        if train and not keep:
            entries.done()
        loss, dh = _loss(model, h, given, train=train)
        del h, made
        if not train:
            return loss
        for layer in reversed(model.layers):
            one = saved.pop()
            if one is None:
                one = layers.forward(context, layer, entries.take(), save=True, result=False)[1]
            assert one is not None  # noqa: S101 - saved just now
            dh = layers.backward(context, layer, one, dh)
            del one
        return loss


def _front(model: Model, given: Inputs) -> tuple[Context, Tensor]:
    """Return what the layers share and the streams [S, T, H] that enter the first of them."""
    text, config, ops = model.text, model.text.config, model.ops
    first = text.embed_tokens(given.ids)
    projected = products.plain_forward(ops, model.ple_projection, first)
    shape = (len(first), config.num_hidden_layers, -1)
    own = text.per_layer_projection_norm((projected * config.hidden_size**-0.5).view(shape))
    embeddings = (own + given.embeddings.view(shape)) * 2**-0.5
    wide = first.float()
    magnitude = wide.square().mean(-1, keepdim=True).sqrt()
    streams = [first]
    for one in model.embed:
        other = products.plain_forward(ops, one, first).float()
        size = other.square().mean(-1, keepdim=True).clamp_min(SMALLEST_SQUARE).sqrt()
        streams.append((other * magnitude / size).to(first.dtype))
    return _context(model, given, embeddings), torch.stack(streams)


def _context(model: Model, given: Inputs, embeddings: Tensor) -> Context:
    text, config = model.text, model.text.config
    place = given.positions
    turns = {}
    for sliding, name in ((True, "sliding_attention"), (False, "full_attention")):
        angles = place[:, None].float() * getattr(text.rotary_emb, f"{name}_inv_freq")[None].float()
        times = getattr(text.rotary_emb, f"{name}_attention_scaling")
        turns[sliding] = angles.cos() * times, angles.sin() * times
    return layers.Context(
        ops=model.ops,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        turns=turns,
        bounds=(given.starts, given.ends),
        windows={True: config.sliding_window, False: len(place)},
        embeddings=embeddings,
    )


def _loss(model: Model, h: Tensor, given: Inputs, *, train: bool) -> tuple[Tensor, Tensor]:
    """Return the loss and the gradient of the last streams."""
    with torch.set_grad_enabled(train):
        leaf = h.detach().requires_grad_(train)
        out = _tail(model, leaf)
    hidden = out.detach()
    dout = torch.empty_like(hidden)
    losses = torch.empty(len(hidden), device=hidden.device)
    for start in range(0, len(hidden), model.chunk):
        rows = slice(start, start + model.chunk)
        logits = hidden[rows] @ model.head.T
        model.ops.cross_entropy(logits, given.labels[rows], model.cap, given.scale, losses[rows])
        if train:
            torch.mm(logits, model.head, out=dout[rows])
        del logits
    if not train:
        return losses.sum(), dout
    return losses.sum(), torch.autograd.grad(out, leaf, dout)[0]


def _tail(model: Model, h: Tensor) -> Tensor:
    """Return the normed mean of the streams, each but the first mapped back to its magnitude."""
    text = model.text
    wide = h[0].float()
    magnitude = wide.square().mean(-1, keepdim=True).sqrt()
    total = wide
    for one, stream in zip(model.unembed, h[1:], strict=True):
        matrix = stream.new_empty(one.rows, one.columns)
        with torch.no_grad():
            model.ops.expand(one, matrix, 0)
        other = F.linear(stream, matrix).float()
        size = other.square().mean(-1, keepdim=True).clamp_min(SMALLEST_SQUARE).sqrt()
        total = total + other * magnitude / size
    out: Tensor = text.norm((total / len(h)).to(h.dtype))
    return out
