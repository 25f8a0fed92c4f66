"""A prompt and its answer as token ids, and the loss over the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from paperlora.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One example as token ids."""

    prompt: list[int]
    answer: list[int]
    """Ends with the token that ends the model's turn."""


def encode(tokenizer: Any, prompt: str, answer: str, max_length: int) -> Encoded:  # noqa: ANN401
    """Put prompt and answer into the model's chat format, as token ids.

    The prompt gives up its earliest tokens where both together are longer than ``max_length``.
    """
    turns = [{"role": "user", "content": prompt}]
    start = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(
        [*turns, {"role": "assistant", "content": answer}], tokenize=False
    )
    if not whole.startswith(start):
        raise InputError(
            "the model's chat template does not go on from its own generation prompt",
            remedy="use a model whose template does",
        )
    rest = whole.removeprefix(start).rstrip("\n")
    before = tokenizer(start, add_special_tokens=False).input_ids
    after = tokenizer(rest, add_special_tokens=False).input_ids[: max_length // 2]
    return Encoded(prompt=before[-(max_length - len(after)) :], answer=after)


def answer_loss(model: Any, example: Encoded, where: torch.device) -> torch.Tensor:  # noqa: ANN401
    """Return the summed cross-entropy (nats) of the answer's tokens, given the prompt; a scalar.

    Logits are made for the answer's positions only: with a large vocabulary they would otherwise
    take more memory than the model.
    """
    ids = torch.tensor([example.prompt + example.answer], device=where)
    output = model(input_ids=ids, logits_to_keep=len(example.answer) + 1, use_cache=False)
    logits = output.logits[0, :-1].float()
    return F.cross_entropy(logits, ids[0, -len(example.answer) :], reduction="sum")
