"""Turns a GGUF file into a Hugging Face directory.

Usage: ``python -m paperlora.pipeline.model.dequantise GGUF DIRECTORY``. The weights become bfloat16
tensors in one safetensors file. ``load`` quantises them to NF4 each time.
"""

from __future__ import annotations

import sys
from pathlib import Path


def dequantise(gguf: Path, folder: Path) -> None:
    """Write config, tokenizer and weights of ``gguf`` to ``folder``."""
    import torch  # noqa: PLC0415 - this module is run as a child of its own
    from safetensors.torch import save_model  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    # transformers gives a GGUF's tokenizer the wrong end token; the model's configuration has the right one.
    end = tokenizer.convert_ids_to_tokens(model.config.eos_token_id)
    tokenizer.eos_token = tokenizer.pad_token = end
    # Not the model's own `save_pretrained`: it may treat the model as still quantised.
    model.config.__dict__.pop("quantization_config", None)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    dequantise(Path(sys.argv[1]), Path(sys.argv[2]))
