"""Loss and gradients of an accumulated batch: by transformers and peft, or by Gemma 3n's own step.

Both give the same numbers: the loss is the mean over all answer tokens of the batch, so an example
counts by its tokens whichever micro-batch or row it falls in.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch

from paperlora.errors import InputError
from paperlora.files import read_json
from paperlora.pipeline.model import encoding, load, store
from paperlora.pipeline.model.gemma3n import packing, step
from paperlora.pipeline.model.gemma3n.runner import Runner
from paperlora.pipeline.train import checkpoint, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paperlora.pipeline.config import TrainSections
    from paperlora.pipeline.model.encoding import Encoded
    from paperlora.pipeline.model.load import Loaded
    from paperlora.pipeline.model.store import Weights


class Accumulator(Protocol):
    """What training asks of either way."""

    def gradients(self, batch: Sequence[Encoded], stop: Callable[[], bool]) -> float | None:
        """Set the adapter's gradients and return the loss; None, with nothing promised, if asked to stop."""

    def loss(self, examples: Sequence[Encoded]) -> float:
        """Return the mean loss in nats a token, without gradients."""

    def changed(self) -> None:
        """Take note that the adapter's parameters have new values."""

    def describe(self) -> dict[str, Any]:
        """Return what a report says of it."""


@dataclass(frozen=True, kw_only=True)
class Stock:
    """One example after another through the peft model and autograd."""

    tuned: Any
    device: torch.device

    def gradients(self, batch: Sequence[Encoded], stop: Callable[[], bool]) -> float | None:
        """As ``Accumulator`` says."""
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
        """As ``Accumulator`` says."""
        self.tuned.eval()
        with torch.inference_mode():
            total = sum(
                encoding.answer_loss(self.tuned, one, self.device).item() for one in examples
            )
        return total / _answer_tokens(examples)

    def changed(self) -> None:
        """As ``Accumulator`` says."""

    def describe(self) -> dict[str, Any]:
        """As ``Accumulator`` says."""
        return {"step": "stock"}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Examples packed into rows of fixed length, through the step written for Gemma 3n."""

    runner: Runner
    longest: int
    described: dict[str, Any] = field(default_factory=dict)

    def gradients(self, batch: Sequence[Encoded], stop: Callable[[], bool]) -> float | None:
        """As ``Accumulator`` says."""
        self.runner.model.adapters.gradient.zero_()
        scale = 1 / _answer_tokens(batch)
        losses = []
        for row in packing.pack(batch, self.longest):
            if stop():
                return None
            losses.append(self.runner.train(row, scale))
        return float(torch.stack(losses).sum()) * scale

    def loss(self, examples: Sequence[Encoded]) -> float:
        """As ``Accumulator`` says."""
        rows = packing.pack(examples, self.longest)
        total = torch.stack([self.runner.loss(row) for row in rows]).sum()
        return float(total) / _answer_tokens(examples)

    def changed(self) -> None:
        """As ``Accumulator`` says."""
        self.runner.model.adapters.refresh()

    def describe(self) -> dict[str, Any]:
        """As ``Accumulator`` says."""
        return {**self.described, "setup_seconds": round(self.runner.seconds, 3)}


def _answer_tokens(examples: Sequence[Encoded]) -> int:
    return sum(len(example.answer) for example in examples)


def settings(files: Weights, config: TrainSections, where: torch.device) -> plan.Settings | None:
    """Choose by the GPU's free memory how Gemma 3n is trained; None where there is nothing to choose.

    Raises ``InputError``, naming the setting that would fit, when nothing does.
    """
    document = read_json(files.directory / "config.json")
    if where.type != "cuda" or not str(document.get("model_type")).startswith("gemma3n"):
        return None
    if config.memory.step == "stock" or config.adapter.dropout:
        return None
    number = load.compute_dtype(config.model.compute_dtype, where).itemsize
    free, total = torch.cuda.mem_get_info()
    allowed = int(total * torch.cuda.get_per_process_memory_fraction())
    return plan.choose(
        plan.shape(document, number=number),
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
    own = {name: getattr(memory, name) for name in ("activations", "embeddings", "step")}
    for name, value in own.items():
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
    chosen: plan.Settings | None,
) -> Accumulator:
    """Return the way in which ``tuned`` is trained, and print which and why."""
    wanted = config.memory.step
    if not loaded.gemma3n or config.adapter.dropout or wanted == "stock":
        if loaded.gemma3n and wanted != "stock":
            print(
                f"adapter.dropout is {config.adapter.dropout}: training with the stock step, which "
                "on a GPU takes several times the memory and the time; adapter.dropout=0 avoids that",
                file=sys.stderr,
            )
        return Stock(tuned=tuned, device=loaded.device)
    ops, name = _operations(wanted, loaded.device, loaded.compute_dtype)
    on_cpu = "keep" if config.memory.activations == "keep" else "recompute"
    activations = chosen.activations if chosen else on_cpu
    if chosen:
        print(f"step {name}, {chosen.reason}", file=sys.stderr)
    read = step.read(tuned, ops=ops, activations=activations, chunk=config.memory.loss_chunk)
    return Rows(
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
    """Return the kernels to use and their name.

    Raises ``InputError`` when the fused ones are asked for and cannot be had.
    """
    from paperlora.pipeline.model.gemma3n import plain  # noqa: PLC0415 - fused needs triton, plain does not

    obstacle: str | None = "there is no GPU"
    if where.type == "cuda":
        from paperlora.pipeline.model.gemma3n import fused  # noqa: PLC0415

        obstacle = fused.obstacle(dtype)
        if wanted != "plain" and obstacle is None:
            return fused, "fused"
    if wanted == "fused":
        raise InputError(f"memory.step is fused, and {obstacle}", remedy="set memory.step=auto")
    if where.type == "cuda" and wanted == "auto":
        print(
            f"{obstacle}: training without fused kernels, about four times slower", file=sys.stderr
        )
    return plain, "plain"
