"""Measures the training step of Gemma 3n E4B on a GPU, with random weights of the real shapes.

    python tests/bench/gemma3n.py --model FOLDER [--out FOLDER]

The first run makes the checkpoint in FOLDER (14 GB). Then it prints a table: the step at each length, the
step without each of its techniques in turn, transformers and peft alone, the distance of each from
float32, and the time of the matrix products alone. ``step.json`` has the same figures. GPU memory is what
torch's allocator counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path[:0] = [
    str(Path(__file__).resolve().parent),
    str(Path(__file__).resolve().parents[2] / "src"),
]

import e4b
import torch
from peft import LoraConfig, get_peft_model

from paperlora.pipeline.model import adapter, encoding, load
from paperlora.pipeline.model.encoding import Encoded
from paperlora.pipeline.model.gemma3n import fused, packing, plain, products, reader, runner, step
from paperlora.pipeline.train import plan

if TYPE_CHECKING:
    from collections.abc import Callable

GPU = torch.device("cuda")
GIB = 2**30
RANK = 8
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
OURS = {"ops": fused, "activations": "recompute", "chunk": 256, "capture": True, "table": "host"}
VARIANTS = {
    "ours": {},
    "activations kept": {"activations": "keep"},
    "activations offloaded": {"activations": "offload"},
    "not captured": {"capture": False},
    "no fused kernels": {"ops": plain},
    "neither": {"ops": plain, "capture": False},
    "loss in one piece": {"chunk": 1 << 20},
    "table on the GPU": {"table": "gpu"},
}


def tune(base: Any) -> Any:
    """Wrap the model in an adapter with a random B; with a new one's B of zero, A has no gradient."""
    torch.manual_seed(0)
    names = adapter.targets(base, PROJECTIONS)
    tuned = get_peft_model(
        base, LoraConfig(r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=names)
    )
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    return tuned


def examples(*sizes: int) -> list[Encoded]:
    """Return examples of random tokens, half prompt and half answer; ``sizes`` in tokens."""
    rng = random.Random(0)

    def tokens(count: int) -> list[int]:
        return [rng.randrange(5, 260_000) for _ in range(count)]

    return [Encoded(prompt=tokens(size // 2), answer=tokens(size - size // 2)) for size in sizes]


def clean() -> None:
    """Free unused memory and start a new peak."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def timed(function: Callable[[], object], times: int) -> float:
    """Return the median time of a call in milliseconds, after one call to warm up."""
    function()
    found = []
    for _ in range(times):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        function()
        end.record()
        end.synchronize()
        found.append(begin.elapsed_time(end))
    return median(found)


def memory() -> dict[str, float]:
    """Return the peak of GPU memory in GiB."""
    return {
        "allocated": torch.cuda.max_memory_allocated() / GIB,
        "reserved": torch.cuda.max_memory_reserved() / GIB,
    }


def ours(tuned: Any, tokens: int, **changes: Any) -> dict[str, Any]:
    """Measure one variant of the step at one length."""
    how = {**OURS, **changes}
    clean()
    embedding = tuned.get_base_model().model.embed_tokens_per_layer
    host = embedding.table
    if how["table"] == "gpu":
        embedding.table = (host[0].to(GPU),)
    read = step.read(tuned, ops=how["ops"], activations=how["activations"], chunk=how["chunk"])
    run = runner.Runner(model=read, capture=how["capture"])
    (row,) = packing.pack(examples(tokens // 2, tokens - tokens // 2), tokens)
    began = time.perf_counter()
    run.train(row, 1e-3)
    run.train(row, 1e-3)
    torch.cuda.synchronize()
    first = time.perf_counter() - began
    result = {
        "tokens": tokens,
        "milliseconds": timed(lambda: run.train(row, 1e-3), 10 if how["capture"] else 5),
        "setup_seconds": first,
        **memory(),
        "predicted": None,
    }
    if how["ops"] is fused:  # the plan describes the kernels; autograd in `plain` keeps more
        shape = plan.Shape()
        predicted = plan.peak(
            shape, tokens, how["activations"], rank=RANK, chunk=how["chunk"],
            table_on_host=how["table"] == "host",
        )  # fmt: skip
        moments = 2 * plan.trainable(shape, RANK)  # there is no optimiser here
        result["predicted"] = (predicted - moments) / GIB
    embedding.table = host
    return result


def stock(tuned: Any, tokens: int) -> dict[str, Any]:
    """Measure transformers and peft alone, with gradient checkpointing and all logits at once."""
    clean()
    (one,) = examples(tokens)
    ids = torch.tensor([one.prompt + one.answer], device=GPU)

    def once() -> None:
        tuned(input_ids=ids, labels=ids, use_cache=False).loss.backward()

    tuned.train()
    tuned.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    took = timed(once, 3)
    tuned.get_base_model().gradient_checkpointing_disable()
    for parameter in tuned.parameters():
        parameter.grad = None
    return {"tokens": tokens, "milliseconds": took, **memory()}


def products_alone(tuned: Any, tokens: int) -> float:
    """Return the milliseconds of a step's large products alone, as a CUDA graph.

    Each product of a layer counts three times: forward, recomputed, backward.
    """
    read = step.read(tuned, ops=fused, activations="recompute", chunk=256)
    like = read.head
    pairs = []
    for layer in read.layers:
        for one in (layer.first, layer.o, layer.gate_up, layer.down):
            matrix = like.new_empty(one.rows, one.columns + one.extra).normal_(std=0.02)
            pairs.append((products.input_buffer(one, tokens, like).normal_(), matrix))
    outs = [x @ matrix.T for x, matrix in pairs]
    hidden = like.new_empty(256, like.shape[1]).normal_()

    def once() -> None:
        for (x, matrix), out in zip(pairs, outs, strict=True):
            torch.mm(x, matrix.T, out=out)
            torch.mm(x, matrix.T, out=out)
            torch.mm(out, matrix)
        for _ in range(-(-tokens // 256)):
            logits = hidden @ like.T
            torch.mm(logits, like)

    once()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        once()
    return timed(graph.replay, 10)


def far(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return ||one - other|| / ||other|| over all adapter gradients."""
    apart = sum((one[name] - other[name]).square().sum() for name in other)
    return float((apart / sum(value.square().sum() for value in other.values())) ** 0.5)


def agreement(base: Any, tuned: Any, folder: Path) -> dict[str, Any]:
    """Compare losses and gradients of three examples, 500 tokens, between all ways to compute them."""
    found = examples(250, 150, 100)
    tokens = sum(len(one.answer) for one in found)
    trainable = {name: p for name, p in tuned.named_parameters() if p.requires_grad}

    def by_stock(wrapped: Any) -> tuple[float, dict[str, torch.Tensor]]:
        wrapped.train()
        total = 0.0
        for one in found:
            loss = encoding.answer_loss(wrapped, one, GPU)
            (loss / tokens).backward()
            total += loss.item()
        grads = {
            n: p.grad.float().clone() for n, p in wrapped.named_parameters() if p.requires_grad
        }
        for parameter in wrapped.parameters():
            parameter.grad = None
        return total / tokens, grads

    def by_ours(**changes: Any) -> tuple[float, dict[str, torch.Tensor]]:
        how = {**OURS, **changes}
        read = step.read(tuned, ops=how["ops"], activations=how["activations"], chunk=how["chunk"])
        run = runner.Runner(model=read, capture=how["capture"])
        rows = [row for batch in how.get("rows", [found]) for row in packing.pack(batch, 512)]
        total = 0.0
        for _ in range(3):  # the third time replays a graph, if there is one
            read.adapters.gradient.zero_()
            total = float(sum(run.train(row, 1 / tokens) for row in rows))
        return total / tokens, {name: p.grad.clone() for name, p in trainable.items()}

    exact = reader.read(folder, device=GPU, dtype=torch.float32)
    wrapped = tune(exact)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(trainable[name])
    reference = by_stock(wrapped)
    whole = step.read(wrapped, ops=fused, activations="recompute", chunk=256)
    run = runner.Runner(model=whole, capture=False)
    lost = sum(float(run.train(row, 1 / tokens)) for row in packing.pack(found, 512))
    held = {n: p.grad.clone() for n, p in wrapped.named_parameters() if p.requires_grad}
    in_float32 = (lost / tokens, held)
    del exact, wrapped, whole, run
    clean()
    plain_stock = by_stock(tuned)
    base.gradient_checkpointing_enable({"use_reentrant": False})
    again = by_stock(tuned)
    base.gradient_checkpointing_disable()
    mine = by_ours()
    ways = {
        "transformers and peft": (*plain_stock, reference),
        "the same, checkpointing": (*again, plain_stock),
        "ours, in float32": (*in_float32, reference),
        "ours": (*mine, reference),
        "ours again": (*by_ours(), mine),
        "ours, activations kept": (*by_ours(activations="keep"), mine),
        "ours, activations offloaded": (*by_ours(activations="offload"), mine),
        "ours, not captured": (*by_ours(capture=False), mine),
        "ours, one example a row": (*by_ours(rows=[[one] for one in found]), mine),
        "ours, loss in one piece": (*by_ours(chunk=512), mine),
        "ours, no fused kernels": (*by_ours(ops=plain), reference),
    }
    return {
        "float32 loss": reference[0],
        "ways": {
            name: {
                "loss": loss,
                "against": "float32"
                if other is reference
                else "transformers and peft"
                if other is plain_stock
                else "ours",
                "gradient": far(grads, other[1]),
            }
            for name, (loss, grads, other) in ways.items()
        },
    }


def measure(folder: Path, lengths: list[int]) -> dict[str, Any]:
    """Return all measurements; the slowest is last."""
    if not (folder / "config.json").is_file():
        print(f"writing the checkpoint to {folder}: 14 GB", file=sys.stderr)
        e4b.write(folder)
    clean()
    load.prepare(0)
    began = time.perf_counter()
    base = reader.read(folder, device=GPU, dtype=torch.bfloat16)
    torch.cuda.synchronize()
    result: dict[str, Any] = {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "load": {
            "seconds": time.perf_counter() - began,
            "held": torch.cuda.memory_allocated() / GIB,
            **memory(),
        },
    }
    tuned = tune(base)
    result["agreement"] = agreement(base, tuned, folder)
    result["lengths"] = [ours(tuned, tokens) for tokens in lengths]
    result["offload"] = [ours(tuned, tokens, activations="offload") for tokens in lengths[-1:]]
    result["variants"] = {name: ours(tuned, 1024, **changes) for name, changes in VARIANTS.items()}
    result["products"] = {tokens: products_alone(tuned, tokens) for tokens in {1024, *lengths}}
    clean()
    result["stock"] = stock(tuned, 1024)
    result["peaks"] = peaks(result)
    return result


def peaks(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the allocated GiB of each setting, to compare the plan with."""
    usual = {"activations": "recompute", "chunk": 256, "table": "host"}
    rows = [(row, {}) for row in result["lengths"]]
    rows += [(row, {"activations": "offload"}) for row in result["offload"]]
    rows += [(result["variants"][name], how) for name, how in VARIANTS.items() if {*how} & {*usual}]
    return [
        {"tokens": row["tokens"], **usual, **how, "allocated": row["allocated"]}
        for row, how in rows
    ]


def show(result: dict[str, Any]) -> None:
    """Print the measurements as tables."""
    head = result["load"]
    print(f"{result['gpu']}, torch {result['torch']}")
    print(
        f"load: {head['seconds']:.1f} s, {head['held']:.2f} GiB afterwards, peak {head['allocated']:.2f} GiB"
    )
    rows = [(f"ours, {row['tokens']} tokens", row) for row in result["lengths"]]
    rows += [(f"ours, {row['tokens']} tokens, offloaded", row) for row in result["offload"]]
    rows += [(f"1024 tokens: {name}", row) for name, row in result["variants"].items()]
    rows += [("1024 tokens: transformers and peft", result["stock"])]
    print(
        f"{'':46} {'ms':>7} {'tokens/s':>9} {'GiB':>6} {'reserved':>9} {'predicted':>10} {'set up, s':>10}"
    )
    for name, row in rows:
        predicted = f"{row['predicted']:.2f}" if row.get("predicted") else "—"
        setup = f"{row['setup_seconds']:.1f}" if "setup_seconds" in row else "—"
        print(
            f"{name:46} {row['milliseconds']:7.1f} {row['tokens'] / row['milliseconds'] * 1e3:9.0f} "
            f"{row['allocated']:6.2f} {row['reserved']:9.2f} {predicted:>10} {setup:>10}"
        )
    at = {row["tokens"]: row["milliseconds"] for row in result["lengths"]}
    at[1024] = result["variants"]["ours"]["milliseconds"]
    for tokens, took in result["products"].items():
        times = at[tokens] / took
        print(
            f"matrix products alone, {tokens} tokens: {took:.1f} ms; a step takes {times:.2f} times as long"
        )
    print(f"{'':30} {'loss':>9} {'distance':>15}  from")
    print(f"{'float32':30} {result['agreement']['float32 loss']:9.5f}")
    for name, way in result["agreement"]["ways"].items():
        print(f"{name:30} {way['loss']:9.5f} {way['gradient']:15.2e}  {way['against']}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for step.json (here)")
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("there is no CUDA device → run this on a machine with an NVIDIA GPU")
    result = measure(arguments.model, arguments.lengths)
    (arguments.out / "step.json").write_text(json.dumps(result, indent=1))
    show(result)


if __name__ == "__main__":
    main()
