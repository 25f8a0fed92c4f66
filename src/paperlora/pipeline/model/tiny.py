"""Makes a random Gemma 3n of four small layers, for tests: the real architecture, in seconds on a CPU.

It has what makes Gemma 3n hard to train in 4 bits: AltUp, LAuReL, per-layer embeddings, sliding and
full attention, and layers that share the keys and values of an earlier one. Its tokenizer has one
token for each byte, so it can encode any text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.models.gemma3n import Gemma3nForCausalLM, Gemma3nTextConfig

if TYPE_CHECKING:
    from pathlib import Path

_SPECIAL = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>"
    "{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{{ message['content'] }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def tokenizer() -> Any:  # noqa: ANN401 - transformers carries no types
    """Return the byte tokenizer, with Gemma's chat format."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(_SPECIAL + alphabet)}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",  # noqa: S106 - a token of text
        eos_token="<end_of_turn>",  # noqa: S106
        bos_token="<bos>",  # noqa: S106
        chat_template=_TEMPLATE,
    )


def configuration() -> Any:  # noqa: ANN401 - transformers carries no types
    """Return the configuration: 4 layers of width 64, the last two of which share keys and values."""
    vocabulary = len(_SPECIAL) + 256
    return Gemma3nTextConfig(
        vocab_size=vocabulary,
        vocab_size_per_layer_input=vocabulary,
        hidden_size=64,
        hidden_size_per_layer_input=16,
        intermediate_size=[128] * 4,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        sliding_window=128,
        layer_types=["sliding_attention", "full_attention"] * 2,
        num_kv_shared_layers=2,
        activation_sparsity_pattern=[0.95, 0.0, 0.0, 0.0],
        altup_num_inputs=2,
        laurel_rank=8,
        pad_token_id=0,
        eos_token_id=4,
        bos_token_id=2,
        max_position_embeddings=4096,
    )


def save(folder: Path, *, seed: int) -> None:
    """Write the random model of ``seed`` (bfloat16, Hugging Face layout) and its tokenizer to ``folder``."""
    torch.manual_seed(seed)
    model = Gemma3nForCausalLM(configuration()).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
