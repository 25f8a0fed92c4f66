"""Writes a Gemma 3n E4B with random weights of the real shapes, as a checkpoint in the hub's layout.

Random weights need no licence. Only the text half is written, because training reads nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from accelerate import init_empty_weights
from safetensors.torch import save_file
from transformers.models.gemma3n import Gemma3nForCausalLM, Gemma3nTextConfig

if TYPE_CHECKING:
    from pathlib import Path

SHARD = 3e9  # bytes


def write(folder: Path, *, seed: int = 0, device: str = "cuda", **changes: object) -> int:
    """Write the checkpoint to ``folder`` and return its size in bytes; ``changes`` shrink the shapes."""
    config = Gemma3nTextConfig(**changes)
    with init_empty_weights(include_buffers=False):
        model = Gemma3nForCausalLM(config)
    generator = torch.Generator(device).manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    shard: dict[str, torch.Tensor] = {}
    places: dict[str, str] = {}
    total = 0

    def flush() -> None:
        name = f"model-{len(set(places.values())):05d}.safetensors"
        save_file(shard, folder / name)
        places.update(dict.fromkeys(shard, name))
        shard.clear()

    for name, parameter in model.named_parameters():
        if name == "lm_head.weight":
            continue  # tied to the embedding
        shape = tuple(parameter.shape)
        value = torch.empty(shape, device=device, dtype=torch.bfloat16)
        if "q_norm" in name or "k_norm" in name:
            value.fill_(0.3)  # with 1, scores reach +-256 and attention picks one token at random
        elif "norm" in name:
            value.fill_(1.0)
        elif "coefs" in name or "correct_output_scale" in name:
            value.normal_(0.0, 0.1, generator=generator)
        else:
            value.normal_(0.0, shape[-1] ** -0.5, generator=generator)
        shard[name.replace("model.", "model.language_model.", 1)] = value.cpu()
        total += value.numel() * value.element_size()
        if sum(t.numel() * t.element_size() for t in shard.values()) > SHARD:
            flush()
    flush()
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(
        json.dumps({**config.to_dict(), "architectures": ["Gemma3nForCausalLM"]})
    )
    return total
