"""The parameters of the model as the step reads them: packed projections, adapters, norms, AltUp's maps.

Everything here refers to the tensors of the model that peft has wrapped. Only AltUp's maps are copies, a
few numbers in each layer, in float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

PAD = 64
"""What the extra columns of a group are a multiple of, so that the GPU's matrix units stay aligned."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """One projection's LoRA pair: views of the compute copy, and of the gradients in float32."""

    a: torch.Tensor
    """[rank, in]"""
    b: torch.Tensor
    """[out, rank]"""
    a_gradient: torch.Tensor
    b_gradient: torch.Tensor
    scale: float
    """alpha / rank"""


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One linear map y = x W^T, with or without an adapter; W is [rows, columns]."""

    weight: torch.Tensor
    """W itself, or its NF4 codes, two in a byte."""
    state: Any
    """bitsandbytes' ``QuantState`` of the codes, or None."""
    rows: int
    columns: int
    adapter: Adapter | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Projections of the same input, computed as one product.

    The matrix has ``extra`` columns beside W, which hold each adapter's B times its scale; the input
    has as many, which hold x A^T. So one product gives y = x W^T + scale x A^T B^T, rounded once, and
    a product with its transpose gives the gradients of x and of x A^T together.
    """

    members: tuple[Projection, ...]
    a: torch.Tensor | None
    """[ranks, in], the members' A one below the other; None without adapters."""
    a_gradient: torch.Tensor | None

    @property
    def rows(self) -> int:
        """The width of the output, that of all members together."""
        return sum(member.rows for member in self.members)

    @property
    def columns(self) -> int:
        """The width of the input."""
        return self.members[0].columns

    @property
    def ranks(self) -> int:
        """How many of the extra columns are in use: the sum of the adapters' ranks."""
        return 0 if self.a is None else len(self.a)

    @property
    def extra(self) -> int:
        """The number of extra columns, a multiple of ``PAD``."""
        return -(-self.ranks // PAD) * PAD


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The parameters of one ``Gemma3nTextDecoderLayer``; norms are [hidden] unless noted otherwise."""

    index: int
    sliding: bool
    """Whether its attention has the sliding window."""
    source: int
    """The layer whose keys and values this one attends to: itself, or an earlier one."""
    stores: bool
    """Whether later layers attend to its keys and values."""
    cutoff: float | None
    """Standard deviations above the mean below which the MLP's gates count as zero; None: no cutoff."""
    eps: float
    first: Group
    """LAuReL's left half, queries and, unless shared, keys and values: all read the same input."""
    o: Group
    gate_up: Group
    down: Group
    laurel: Group
    """LAuReL's right half."""
    ple_gate: Group
    ple_projection: Group
    input_norm: torch.Tensor
    attention_norm: torch.Tensor
    before_mlp_norm: torch.Tensor
    after_mlp_norm: torch.Tensor
    laurel_norm: torch.Tensor
    ple_norm: torch.Tensor
    q_norm: torch.Tensor
    """[head_dim]"""
    k_norm: torch.Tensor | None
    """[head_dim]; None where keys are shared."""
    router_norm: torch.Tensor
    router: torch.Tensor
    """[streams, hidden] in float32, divided by the hidden width: AltUp's ``router_input_scale``."""
    predict: torch.Tensor
    """AltUp's prediction coefficients, [streams * streams, streams] in float32."""
    correct: torch.Tensor
    """AltUp's correction coefficients, [streams, streams] in float32."""
    output_scale: torch.Tensor


@dataclass(kw_only=True)
class Adapters:
    """All adapter parameters, one behind the other in memory, so that one launch copies or clears them.

    The peft parameters are views of ``master``, their ``grad`` views of ``gradient``.
    """

    master: torch.Tensor
    """[parameters] in float32: the optimiser updates them."""
    gradient: torch.Tensor
    """[parameters] in float32."""
    working: torch.Tensor
    """[parameters] in the compute dtype: the products read them."""
    views: dict[int, torch.Tensor] = field(default_factory=dict)
    """The part of ``working`` that belongs to a peft parameter, in its shape, by ``id(parameter)``."""

    def refresh(self) -> None:
        """Copy ``master`` to ``working``, after the optimiser has changed it."""
        self.working.copy_(self.master)


def gather(tuned: Any, dtype: torch.dtype, device: torch.device) -> Adapters:  # noqa: ANN401
    """Move the trainable parameters of the peft model ``tuned`` one behind the other.

    All A's come first, in the order of the model's modules. ``group`` takes its modules in that order
    too, so the A's of a group are neighbours and form one matrix.
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
        end, shape = start + parameter.numel(), parameter.shape
        adapters.master[start:end] = parameter.data.flatten()
        parameter.data = adapters.master[start:end].view(shape)
        parameter.grad = adapters.gradient[start:end].view(shape)
        adapters.views[id(parameter)] = adapters.working[start:end].view(shape)
        start = end
    adapters.refresh()
    return adapters


def _projection(module: Any, adapters: Adapters) -> Projection:  # noqa: ANN401
    """Return one linear module, wrapped by peft or not, as a projection."""
    base = getattr(module, "base_layer", module)
    pair = None
    if hasattr(module, "lora_A"):
        a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
        pair = Adapter(
            a=adapters.views[id(a)],
            b=adapters.views[id(b)],
            a_gradient=a.grad,
            b_gradient=b.grad,
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
    """Return linear modules that read the same input as one group."""
    members = tuple(_projection(module, adapters) for module in modules)
    pairs = [member.adapter for member in members if member.adapter]
    return Group(
        members=members,
        a=_joined([pair.a for pair in pairs]),
        a_gradient=_joined([pair.a_gradient for pair in pairs]),
    )


def _joined(parts: list[torch.Tensor]) -> torch.Tensor | None:
    """Return matrices that are neighbours in memory as one, without a copy; None for none."""
    if not parts:
        return None
    sizes = [len(part) for part in parts]
    whole = parts[0].as_strided((sum(sizes), parts[0].shape[1]), parts[0].stride())
    for part, view in zip(parts, whole.split(sizes), strict=True):
        if part.data_ptr() != view.data_ptr():
            raise AssertionError("the A's of a group are not neighbours in memory")
    return whole


def layer(module: Any, adapters: Adapters) -> Layer:  # noqa: ANN401
    """Return the parameters of one ``Gemma3nTextDecoderLayer``, its linear modules wrapped by peft or not."""
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
        laurel=group([module.laurel.linear_right], adapters),
        ple_gate=group([module.per_layer_input_gate], adapters),
        ple_projection=group([module.per_layer_projection], adapters),
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
        # transformers clips these while it trains; here a validation uses the clipped ones too.
        predict=altup.prediction_coefs.weight.float().clamp(-clip, clip),
        correct=altup.correction_coefs.weight.float().clamp(-clip, clip),
        output_scale=altup.correct_output_scale
        if config.altup_correct_scale
        else torch.ones_like(altup.correct_output_scale),
    )
