"""Turns a prompt and its answer into token ids, and computes the loss over the answer."""

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
    """Its last token is the one that ends the model's turn."""


def encode(tokenizer: Any, prompt: str, answer: str, max_length: int) -> Encoded:  # noqa: ANN401
    """Return prompt and answer in the model's chat format, as at most ``max_length`` token ids.

    An answer is cut to half of ``max_length``; the prompt then loses its first tokens. Raises
    ``InputError`` when the text of the prompt alone is not the start of the whole conversation.
    """
    turns = [{"role": "user", "content": prompt}]
    start = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(
        [*turns, {"role": "assistant", "content": answer}], tokenize=False
    )
    if not whole.startswith(start):
        raise InputError(
            "the model's chat template does not start a conversation with its generation prompt",
            remedy="use a model whose chat template does",
        )
    rest = whole.removeprefix(start).rstrip("\n")
    before = tokenizer(start, add_special_tokens=False).input_ids
    after = tokenizer(rest, add_special_tokens=False).input_ids[: max_length // 2]
    return Encoded(prompt=before[-(max_length - len(after)) :], answer=after)


def answer_loss(model: Any, example: Encoded, where: torch.device) -> torch.Tensor:  # noqa: ANN401
    """Return the summed cross-entropy of the answer's tokens, given the prompt: nats, a float32 scalar.

    Logits are computed for the answer's positions only: with a large vocabulary, those of all
    positions take more memory than the model.
    """
    ids = torch.tensor([example.prompt + example.answer], device=where)
    # One more than the answer: the logits that predict its first token are the prompt's last.
    output = model(input_ids=ids, logits_to_keep=len(example.answer) + 1, use_cache=False)
    logits = output.logits[0, :-1].float()
    return F.cross_entropy(logits, ids[0, -len(example.answer) :], reduction="sum")
