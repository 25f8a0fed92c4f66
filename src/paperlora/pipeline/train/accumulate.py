"""Computes loss and gradients of the examples of one optimiser step, and chooses one of two ways.

``StockAccumulator`` uses transformers, peft and autograd; ``PackedAccumulator`` uses the step of
``model.gemma3n``. Both give the same numbers: the loss is the mean over all answer tokens of the
examples, so it does not depend on how these are distributed over rows.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from paperlora.errors import InputError
from paperlora.files import read_json
from paperlora.pipeline.model import encoding, load, store
from paperlora.pipeline.model.gemma3n import packing, plain, step
from paperlora.pipeline.model.gemma3n.runner import Runner
from paperlora.pipeline.train import checkpoint, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paperlora.pipeline.config import TrainSections
    from paperlora.pipeline.model.encoding import Encoded
    from paperlora.pipeline.model.load import Loaded


@dataclass(frozen=True, kw_only=True)
class StockAccumulator:
    """Runs one example after another through the peft model and autograd."""

    tuned: Any
    device: torch.device

    def gradients(self, batch: Sequence[Encoded], stop: Callable[[], bool]) -> float | None:
        """Set the ``grad`` of the adapter's parameters; return the mean loss in nats per answer token.

        Return None, with the gradients incomplete, as soon as ``stop()`` is true.
        """
        tokens = _answer_tokens(batch)
        self.tuned.train()
        for parameter in checkpoint.trainable(self.tuned).values():
            parameter.grad = None
        total = 0.0
        for example in batch:
            if stop():
                return None
            loss = encoding.answer_loss(self.tuned, example, self.device) / tokens
            loss.backward()
            total += loss.item()
        return total

    def loss(self, examples: Sequence[Encoded]) -> float:
        """Return the mean loss in nats per answer token, without gradients."""
        self.tuned.eval()
        with torch.inference_mode():
            total = sum(
                encoding.answer_loss(self.tuned, one, self.device).item() for one in examples
            )
        return total / _answer_tokens(examples)

    def changed(self) -> None:
        """Accept that the optimiser or a checkpoint changed the adapter: autograd needs no copy of it."""

    def describe(self) -> dict[str, Any]:
        """Return ``train.how`` of the report: the step's name and its settings."""
        return {"step": "stock"}


@dataclass(frozen=True, kw_only=True)
class PackedAccumulator:
    """Packs examples into rows of fixed length and runs these through the step of ``model.gemma3n``."""

    runner: Runner
    longest: int
    """The most tokens of an example."""
    described: dict[str, Any]

    def gradients(self, batch: Sequence[Encoded], stop: Callable[[], bool]) -> float | None:
        """See ``StockAccumulator``."""
        self.runner.model.adapters.gradient.zero_()
        scale = 1 / _answer_tokens(batch)
        losses = []  # on the device: reading each one would wait for its row
        for row in packing.pack(batch, self.longest):
            if stop():
                return None
            losses.append(self.runner.train(row, scale))
        return float(torch.stack(losses).sum()) * scale

    def loss(self, examples: Sequence[Encoded]) -> float:
        """See ``StockAccumulator``."""
        losses = [self.runner.loss(row) for row in packing.pack(examples, self.longest)]
        return float(torch.stack(losses).sum()) / _answer_tokens(examples)

    def changed(self) -> None:
        """Copy the adapter, which the optimiser or a checkpoint changed, to the compute dtype."""
        self.runner.model.adapters.refresh()

    def describe(self) -> dict[str, Any]:
        """See ``StockAccumulator``."""
        return {**self.described, "setup_seconds": round(self.runner.seconds, 3)}


Accumulator = StockAccumulator | PackedAccumulator


def _answer_tokens(examples: Sequence[Encoded]) -> int:
    return sum(len(example.answer) for example in examples)


def memory_plan(
    files: store.ModelFiles, config: TrainSections, where: torch.device
) -> plan.MemoryPlan | None:
    """Return how to train Gemma 3n within the GPU's free memory; None for another model, step or device.

    Raises ``InputError`` as ``plan.choose`` does.
    """
    stock = config.memory.step == "stock" or config.adapter.dropout
    if stock or where.type != "cuda" or not store.is_gemma3n(str(files.directory)):
        return None
    itemsize = load.compute_dtype(config.model.compute_dtype, where).itemsize
    free, total = torch.cuda.mem_get_info()
    # A process may be limited to a part of the GPU: the benches do so.
    allowed = int(total * torch.cuda.get_per_process_memory_fraction())
    return plan.choose(
        plan.shape(read_json(files.directory / "config.json"), itemsize=itemsize),
        packing.lengths(config.model.max_length)[-1],
        min(free, allowed),
        wanted=config.memory.activations,
        table=config.memory.embeddings,
        rank=config.adapter.rank,
        chunk=config.memory.loss_chunk,
        eight_bit=config.memory.optimizer != "adamw",
    )


def check(config: TrainSections, device: str) -> None:
    """Raise ``InputError`` when the settings ask for a training that cannot be had here.

    Neither the model nor its files are loaded.
    """
    where, memory = load.device(device), config.memory
    gemma3n = store.is_gemma3n(config.model.id)
    if memory.optimizer == "adamw8bit" and where.type != "cuda":
        raise InputError("memory.optimizer is adamw8bit without a GPU", remedy="set it to adamw")
    for name in ("activations", "embeddings", "step"):
        value = getattr(memory, name)
        if value not in {"auto", "stock"} and not gemma3n:
            raise InputError(
                f"memory.{name} is {value}, which only Gemma 3n has",
                remedy=f"set memory.{name}=auto",
            )
    if gemma3n and config.adapter.dropout and memory.step in {"fused", "plain"}:
        raise InputError(
            f"memory.step is {memory.step}, which has no adapter.dropout ({config.adapter.dropout})",
            remedy="set adapter.dropout=0, or memory.step=stock",
        )
    if memory.step == "fused":
        _operations("fused", where, load.compute_dtype(config.model.compute_dtype, where))


def make(
    loaded: Loaded,
    tuned: Any,  # noqa: ANN401 - peft carries no types
    config: TrainSections,
    chosen: plan.MemoryPlan | None,
) -> Accumulator:
    """Return the accumulator that trains ``tuned``; on a GPU, print which and why."""
    wanted = config.memory.step
    if not loaded.gemma3n or config.adapter.dropout or wanted == "stock":
        if loaded.gemma3n and wanted != "stock":
            print(
                f"adapter.dropout is {config.adapter.dropout}: training with the stock step, which "
                "on a GPU needs several times the memory and the time; adapter.dropout=0 avoids that",
                file=sys.stderr,
            )
        return StockAccumulator(tuned=tuned, device=loaded.device)
    ops, name = _operations(wanted, loaded.device, loaded.compute_dtype)
    # There is nothing to offload on a CPU.
    activations = "keep" if config.memory.activations == "keep" else "recompute"
    if chosen:
        activations = chosen.activations
        print(f"step {name}, {chosen.reason}", file=sys.stderr)
    read = step.read(tuned, ops=ops, activations=activations, chunk=config.memory.loss_chunk)
    return PackedAccumulator(
        runner=Runner(model=read, capture=config.memory.capture and loaded.device.type == "cuda"),
        longest=config.model.max_length,
        described={
            "step": name,
            "activations": activations,
            "embeddings": "host" if chosen is None or chosen.table_on_host else "gpu",
            "predicted_gpu_bytes": chosen.gpu_bytes if chosen else None,
        },
    )


def _operations(wanted: str, where: torch.device, dtype: torch.dtype) -> tuple[Any, str]:
    """Return the module of the step's operations, and its name.

    Raises ``InputError`` when the fused ones are wanted and do not work here.
    """
    obstacle: str | None = "there is no GPU"
    if where.type == "cuda":
        from paperlora.pipeline.model.gemma3n import fused  # noqa: PLC0415 - it needs triton

        obstacle = fused.obstacle(dtype)
        if wanted != "plain" and obstacle is None:
            return fused, "fused"
    if wanted == "fused":
        raise InputError(f"memory.step is fused, and {obstacle}", remedy="set memory.step=auto")
    if where.type == "cuda" and wanted == "auto":
        print(
            f"{obstacle}: the step runs without fused kernels, about four times slower",
            file=sys.stderr,
        )
    return plain, "plain"
