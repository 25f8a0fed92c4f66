"""Trains and evaluates with a limit on GPU memory, to imitate a smaller card.

    python tests/bench/whole_run.py --run RUN --gib 7.3 --model FOLDER [--set KEY=VALUE …]

RUN is the folder of a run with a dataset (`env/nox -s dataset -- --config paper --run …`). FOLDER holds a
checkpoint; if it is empty, random weights of the real shapes are written there. Of an 8 GB card, torch
can use 7.3 GiB: the CUDA context takes the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).resolve().parent),
    str(Path(__file__).resolve().parents[2] / "src"),
]

import e4b
import torch

from paperlora.environment.core import verify
from paperlora.environment.host import record
from paperlora.files import read_json
from paperlora.pipeline import config_file
from paperlora.pipeline.evaluate import evaluate
from paperlora.pipeline.model import tiny
from paperlora.pipeline.train import progress, train


def peak_words() -> str:
    """Return the peak of GPU memory in words."""
    peak = progress.memory_peak()
    allocated, reserved = (peak[f"gpu_{kind}_bytes"] or 0 for kind in ("allocated", "reserved"))
    return f"peak {allocated / 2**30:.2f} GiB allocated, {reserved / 2**30:.2f} reserved"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--gib", type=float, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    if not (arguments.model / "config.json").is_file():
        e4b.write(arguments.model)
    if not (arguments.model / "tokenizer.json").is_file():
        tiny.tokenizer().save_pretrained(arguments.model)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(arguments.gib * 2**30 / total)
    settings = config_file.load(
        "paper", [f"model.id={json.dumps(str(arguments.model))}", *arguments.set]
    )
    environment = record.make(verify.own_target())
    began = time.perf_counter()
    train.train(arguments.run, settings, inputs="bench", environment=environment, device="cuda")
    trained = time.perf_counter() - began
    summary = read_json(arguments.run / "train.json")["train"]
    print(
        f"train: {trained:.0f} s in total, {summary['steps']} steps in {summary['seconds']:.1f} s, "
        f"{summary['tokens_per_second']:.0f} tokens/s, {peak_words()}\n{summary['how']}"
    )
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    evaluate.evaluate(arguments.run, settings, environment=environment, device="cuda")
    scores = read_json(arguments.run / "eval.json")
    print(f"eval: {time.perf_counter() - began:.0f} s, {peak_words()}")
    for split in ("train", "validation", "test"):
        print(
            split,
            *(f"{name} {scores[name][split]['perplexity']:.1f}" for name in ("base", "tuned")),
        )
    print(
        "loss",
        summary["loss"][0],
        "…",
        summary["loss"][-1],
        "validation",
        summary["validation_loss"],
    )


if __name__ == "__main__":
    main()
