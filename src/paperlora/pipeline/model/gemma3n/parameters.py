"""What a decoder layer is made of, as the step reads it: packed projections, norms, AltUp's maps.

Everything here refers to the tensors of the transformers model; nothing is copied but AltUp's
coefficients, a few numbers a layer, which training clips.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

PAD = 64
"""Columns of low-rank work beside a matrix come in multiples of this, for the matrix units."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """One projection's LoRA pair, as views: in the compute dtype to read, in float32 to add to."""

    a: torch.Tensor
    """[rank, in]"""
    b: torch.Tensor
    """[out, rank]"""
    a_gradient: torch.Tensor
    b_gradient: torch.Tensor
    scale: float


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One linear map, y = x W^T: packed in 4 bits (``state``) or whole, with or without an adapter."""

    weight: torch.Tensor
    state: Any
    rows: int
    columns: int
    adapter: Adapter | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Projections of one input, computed as one product.

    The matrix is widened by ``extra`` columns that hold each adapter's scaled B, and the input by as
    many that hold x A^T, so that one product gives y = x W^T + scale x A^T B^T with nothing rounded
    between; its transpose gives the gradients of x and of x A^T together.
    """

    members: tuple[Projection, ...]
    extra: int
    a: torch.Tensor | None
    """[all ranks, in], the members' A one below the other."""
    a_gradient: torch.Tensor | None

    @property
    def rows(self) -> int:
        """The width of the output."""
        return sum(member.rows for member in self.members)

    @property
    def columns(self) -> int:
        """The width of the input."""
        return self.members[0].columns

    @property
    def ranks(self) -> int:
        """How many of the extra columns are in use."""
        return sum(len(m.adapter.a) for m in self.members if m.adapter)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One decoder layer."""

    index: int
    sliding: bool
    source: int
    """The layer whose keys and values this one attends to: itself, or an earlier one."""
    stores: bool
    """Whether later layers attend to its keys and values."""
    cutoff: float | None
    """Standard deviations above the mean up to which an activation counts as nought."""
    eps: float
    first: Group
    """LAuReL's left half, queries and, unless shared, keys and values: all of the same input."""
    o: Group
    gate_up: Group
    down: Group
    laurel: Projection
    ple_gate: Projection
    ple_projection: Projection
    input_norm: torch.Tensor
    attention_norm: torch.Tensor
    before_mlp_norm: torch.Tensor
    after_mlp_norm: torch.Tensor
    laurel_norm: torch.Tensor
    ple_norm: torch.Tensor
    q_norm: torch.Tensor
    k_norm: torch.Tensor | None
    router_norm: torch.Tensor
    router: torch.Tensor
    """[streams, hidden], divided by the hidden width as AltUp scales its input."""
    predict: torch.Tensor
    """[streams * streams, streams]"""
    correct: torch.Tensor
    """[streams, streams]"""
    output_scale: torch.Tensor


@dataclass(kw_only=True)
class Adapters:
    """All adapter parameters in one stretch of memory: one copy to the compute dtype, one clipping.

    ``master`` and ``gradient`` are float32; the peft parameters become views of them.
    """

    master: torch.Tensor
    gradient: torch.Tensor
    working: torch.Tensor
    places: dict[int, tuple[int, torch.Size]] = field(default_factory=dict)

    def refresh(self) -> None:
        """Bring the compute copy up to the master, after the optimiser has stepped."""
        self.working.copy_(self.master)

    def view(self, of: torch.Tensor, parameter: torch.nn.Parameter) -> torch.Tensor:
        """Return the part of ``of`` that belongs to a parameter, in its shape."""
        start, shape = self.places[id(parameter)]
        return of[start : start + shape.numel()].view(shape)


def gather(tuned: Any, dtype: torch.dtype, device: torch.device) -> Adapters:  # noqa: ANN401
    """Move the trainable parameters of ``tuned`` into one stretch.

    A's of one layer lie one behind the other in the order of ``named_modules``, which is that of
    ``group``: so the A's of a group are one matrix.
    """
    named = [(n, p) for n, p in tuned.named_parameters() if p.requires_grad]
    ordered = [p for n, p in named if "lora_A" in n] + [p for n, p in named if "lora_A" not in n]
    size = sum(p.numel() for p in ordered)
    adapters = Adapters(
        master=torch.empty(size, device=device),
        gradient=torch.zeros(size, device=device),
        working=torch.empty(size, device=device, dtype=dtype),
    )
    start = 0
    for parameter in ordered:
        adapters.places[id(parameter)] = (start, parameter.shape)
        home = adapters.view(adapters.master, parameter)
        home.copy_(parameter.data)
        parameter.data = home
        parameter.grad = adapters.view(adapters.gradient, parameter)
        start += parameter.numel()
    adapters.refresh()
    return adapters


def projection(module: Any, adapters: Adapters) -> Projection:  # noqa: ANN401
    """Read one linear module, wrapped by peft or not."""
    base = getattr(module, "base_layer", module)
    pair = None
    if hasattr(module, "lora_A"):
        a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
        pair = Adapter(
            a=adapters.view(adapters.working, a),
            b=adapters.view(adapters.working, b),
            a_gradient=adapters.view(adapters.gradient, a),
            b_gradient=adapters.view(adapters.gradient, b),
            scale=module.scaling["default"],
        )
    return Projection(
        weight=base.weight,
        state=getattr(base.weight, "quant_state", None),
        rows=base.out_features,
        columns=base.in_features,
        adapter=pair,
    )


def group(modules: Sequence[Any], adapters: Adapters) -> Group:
    """Put the projections of one input together."""
    members = tuple(projection(module, adapters) for module in modules)
    pairs = [member.adapter for member in members if member.adapter]
    ranks = sum(len(pair.a) for pair in pairs)
    return Group(
        members=members,
        extra=-(-ranks // PAD) * PAD,
        a=_joined([pair.a for pair in pairs]),
        a_gradient=_joined([pair.a_gradient for pair in pairs]),
    )


def _joined(parts: list[torch.Tensor]) -> torch.Tensor | None:
    """Return neighbours in memory as one matrix."""
    if not parts:
        return None
    rows = sum(len(part) for part in parts)
    whole = parts[0].as_strided((rows, parts[0].shape[1]), (parts[0].shape[1], 1))
    place = whole.data_ptr()
    for part in parts:
        if part.data_ptr() != place:
            raise AssertionError("the A's of a group are not neighbours in memory")
        place += part.numel() * part.element_size()
    return whole


def layer(module: Any, adapters: Adapters) -> Layer:  # noqa: ANN401
    """Read one decoder layer of the transformers model."""
    attention, altup, config = module.self_attn, module.altup, module.config
    shared = attention.is_kv_shared_layer
    own = [] if shared else [attention.k_proj, attention.v_proj]
    sparsity = module.mlp.activation_sparsity
    clip = config.altup_coef_clip or float("inf")
    normal = torch.distributions.Normal(0.0, 1.0)
    return Layer(
        index=module.layer_idx,
        sliding=attention.is_sliding,
        source=attention.kv_shared_layer_index if shared else module.layer_idx,
        stores=attention.store_full_length_kv,
        cutoff=float(normal.icdf(torch.tensor(sparsity))) if sparsity > 0 else None,
        eps=config.rms_norm_eps,
        first=group([module.laurel.linear_left, attention.q_proj, *own], adapters),
        o=group([attention.o_proj], adapters),
        gate_up=group([module.mlp.gate_proj, module.mlp.up_proj], adapters),
        down=group([module.mlp.down_proj], adapters),
        laurel=projection(module.laurel.linear_right, adapters),
        ple_gate=projection(module.per_layer_input_gate, adapters),
        ple_projection=projection(module.per_layer_projection, adapters),
        input_norm=module.input_layernorm.weight,
        attention_norm=module.post_attention_layernorm.weight,
        before_mlp_norm=module.pre_feedforward_layernorm.weight,
        after_mlp_norm=module.post_feedforward_layernorm.weight,
        laurel_norm=module.laurel.post_laurel_norm.weight,
        ple_norm=module.post_per_layer_input_norm.weight,
        q_norm=attention.q_norm.weight,
        k_norm=None if shared else attention.k_norm.weight,
        router_norm=altup.router_norm.weight,
        router=altup.modality_router.weight.float() / config.hidden_size,
        predict=altup.prediction_coefs.weight.float().clamp(-clip, clip),
        correct=altup.correction_coefs.weight.float().clamp(-clip, clip),
        output_scale=altup.correct_output_scale
        if config.altup_correct_scale
        else torch.ones_like(altup.correct_output_scale),
    )
