"""Train the adapter: batch 1, gradients accumulated, early stopping, resumable at every step."""

from __future__ import annotations

import math
import random
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bitsandbytes
import torch
from tqdm import tqdm

from paperlora.errors import DataError
from paperlora.files import read_jsonl, sha256_json, write_json, write_jsonl
from paperlora.pipeline.model import adapter, encoding, load, store
from paperlora.pipeline.train import accumulate, checkpoint, finish, schedule
from paperlora.pipeline.train.progress import Progress

WORK = "checkpoints"
"""The folder of a run in which a training works until it is complete."""

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from paperlora.pipeline.config import TrainConfig, TrainSections
    from paperlora.pipeline.model.encoding import Encoded
    from paperlora.pipeline.model.load import Loaded
    from paperlora.pipeline.train.accumulate import Accumulator
    from paperlora.pipeline.train.plan import MemoryPlan


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """What a training run works with."""

    model: Any
    accumulator: Accumulator
    optimizer: torch.optim.Optimizer
    train: list[Encoded]
    validation: list[Encoded]
    config: TrainConfig
    stop: Callable[[], bool]


def train(
    run: Path,
    config: TrainSections,
    *,
    inputs: object,
    environment: dict[str, Any],
    device: str = "auto",
    resume: bool = True,
) -> None:
    """Train on ``run``'s dataset and write ``metrics.jsonl``, ``adapter/`` and ``train.json``.

    ``inputs`` identifies what is trained on: an interrupted training of the same inputs, in the
    same ``environment`` (a record) and on the same device, resumes unless ``resume`` is False. A
    finished adapter stays in its place until the new one is complete, and beside it afterwards.
    Raises ``KeyboardInterrupt`` after SIGINT or SIGTERM, with a checkpoint written.
    """
    accumulate.check(config, device)
    where = load.device(device)
    print(
        f"train: {config.model.id}, up to {config.train.max_steps} steps of "
        f"{config.train.accumulation} examples",
        file=sys.stderr,
    )
    files = store.obtain(config.model.id)
    load.prepare(config.train.seed)
    chosen = accumulate.memory_plan(files, config, where)
    loaded = load.load(
        files, config.model, where, table_on_host=chosen is None or chosen.table_on_host
    )
    work = run / WORK
    if not resume:
        shutil.rmtree(work, ignore_errors=True)
    device_name = load.device_name(where)
    key = sha256_json([inputs, files.revision, environment["fingerprint"], device_name])
    with deferred_signals() as stop:
        trainer = _trainer(run, config, loaded, chosen, stop)
        progress, best = _optimise(trainer, work, key=key)
    for name, parameter in checkpoint.trainable(trainer.model).items():
        parameter.data.copy_(best[name])
    adapter.save_adapter(trainer.model, loaded, work / "adapter")
    found = finish.summary(trainer.model, trainer.accumulator.describe(), progress, loaded, config)
    write_json(work / "train.json", {**found, "environment": environment})
    write_jsonl(work / "metrics.jsonl", progress.rows)
    finish.publish(run, work)


def _trainer(
    run: Path,
    config: TrainSections,
    loaded: Loaded,
    settings: MemoryPlan | None,
    stop: Callable[[], bool],
) -> Trainer:
    torch.manual_seed(config.train.seed)  # the adapter's first values are random
    tuned = adapter.add_adapter(loaded, config.adapter, config.train)
    encoded = {
        split: [
            encoding.encode(loaded.tokenizer, row["prompt"], row["answer"], config.model.max_length)
            for row in read_jsonl(run / "dataset" / f"{split}.jsonl")
        ]
        for split in ("train", "validation")
    }
    chosen = random.Random(config.train.seed).sample(
        encoded["validation"], min(config.train.validation_examples, len(encoded["validation"]))
    )
    return Trainer(
        model=tuned,
        accumulator=accumulate.make(loaded, tuned, config, settings),
        optimizer=_optimizer(tuned, config, loaded),
        train=encoded["train"],
        validation=chosen,
        config=config.train,
        stop=stop,
    )


def _optimizer(tuned: Any, config: TrainSections, loaded: Loaded) -> torch.optim.Optimizer:  # noqa: ANN401
    """Return AdamW, its moments in 8 bits for Gemma 3n on a GPU (Dettmers et al. 2022) or when asked."""
    wanted, on_gpu = config.memory.optimizer, loaded.device.type == "cuda"
    small = wanted == "adamw8bit" or (wanted == "auto" and on_gpu and loaded.gemma3n)
    kind = bitsandbytes.optim.AdamW8bit if small else torch.optim.AdamW
    made: torch.optim.Optimizer = kind(
        list(checkpoint.trainable(tuned).values()),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
    )
    return made


def _optimise(
    trainer: Trainer, work: Path, *, key: str
) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Take steps until the last one or an early stop; return the progress and the best adapter."""
    path = work / "last.safetensors"
    progress, best = _resume(trainer, path, key)
    config = trainer.config

    def keep(rng: dict[str, torch.Tensor]) -> None:
        checkpoint.save(
            path,
            model=trainer.model,
            optimizer=trainer.optimizer,
            best=best,
            rng=rng,
            counters={"key": key, **vars(progress)},
        )

    if not progress.rows:
        best = _validate(trainer, progress, best)
    with tqdm(
        total=config.max_steps, initial=progress.step, desc="train", unit="step", disable=None
    ) as bar:
        while progress.step < config.max_steps and progress.stale < config.patience:
            rng = checkpoint.random_state()
            if not _step(trainer, progress):
                keep(rng)
                print(
                    f"stopped after step {progress.step} of {config.max_steps}; "
                    "run the same command, without --force, to resume from there",
                    file=sys.stderr,
                )
                raise KeyboardInterrupt
            bar.update()
            bar.set_postfix(loss=progress.rows[-1]["loss"])
            if progress.step % config.validate_every == 0 or progress.step == config.max_steps:
                best = _validate(trainer, progress, best)
                keep(checkpoint.random_state())
                if bar.disable:
                    progress.log(config.max_steps)
            write_jsonl(work / "metrics.jsonl", progress.rows)
    if trainer.stop():
        raise KeyboardInterrupt  # a signal during the last validation; the checkpoint is complete
    return progress, best


def _resume(trainer: Trainer, path: Path, key: str) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Return progress and best adapter from a checkpoint with the same ``key``, or those of a new start."""
    counters = checkpoint.counters(path)
    if counters is not None and counters.pop("key") != key:
        print(
            "the checkpoint is from other settings, data, code or another environment: "
            "training starts from the first step",
            file=sys.stderr,
        )
        counters = None
    if counters is None:
        return Progress(), _weights(trainer.model)
    best = checkpoint.restore(path, model=trainer.model, optimizer=trainer.optimizer)
    trainer.accumulator.changed()
    progress = Progress(**counters)
    print(f"resuming from step {progress.step} of {trainer.config.max_steps}", file=sys.stderr)
    return progress, best


def _step(trainer: Trainer, progress: Progress) -> bool:
    """Take one optimiser step; return False, with no parameter changed, if a signal arrived meanwhile."""
    began = time.perf_counter()
    config = trainer.config
    batch = [
        trainer.train[index]
        for index in schedule.batch_indices(
            len(trainer.train), progress.step, config.accumulation, config.seed
        )
    ]
    rate = schedule.learning_rate(progress.step, config)
    for group in trainer.optimizer.param_groups:
        group["lr"] = rate
    loss = trainer.accumulator.gradients(batch, trainer.stop)
    if loss is None:
        return False
    parameters = list(checkpoint.trainable(trainer.model).values())
    if config.max_gradient_norm:  # 0 turns clipping off, as in other trainers
        torch.nn.utils.clip_grad_norm_(parameters, config.max_gradient_norm)
    trainer.optimizer.step()
    trainer.accumulator.changed()
    tokens = sum(len(example.prompt) + len(example.answer) for example in batch)
    progress.step += 1
    progress.tokens += tokens
    taken = time.perf_counter() - began
    progress.step_seconds += taken
    progress.seconds += taken
    progress.record("train", loss, rate=rate, tokens=tokens)
    return True


def _validate(
    trainer: Trainer, progress: Progress, best: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Record the validation loss (nats per answer token); return the best adapter, this one or ``best``."""
    began = time.perf_counter()
    loss = trainer.accumulator.loss(trainer.validation)
    progress.seconds += time.perf_counter() - began
    if progress.step == 0 and not math.isfinite(loss):
        raise DataError(
            "the loss of the model before training is not a finite number",
            remedy="give another model: this one cannot answer the validation questions",
        )
    progress.record("validation", loss, rate=None, tokens=0)
    if loss < progress.best_loss:
        progress.best_loss, progress.best_step, progress.stale = loss, progress.step, 0
        return _weights(trainer.model)
    progress.stale += 1
    return best


def _weights(tuned: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401 - peft carries no types
    return {n: p.detach().cpu().clone() for n, p in checkpoint.trainable(tuned).items()}


@contextmanager
def deferred_signals() -> Iterator[Callable[[], bool]]:
    """Delay SIGINT and SIGTERM, so that the loop ends where its state is complete.

    Yields a function that returns whether one has arrived. A second signal raises
    ``KeyboardInterrupt`` at once: the user does not want to wait.
    """
    arrived = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal arrived
        if arrived:
            raise KeyboardInterrupt
        arrived = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
