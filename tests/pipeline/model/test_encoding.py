import pytest
import torch
import torch.nn.functional as F
from tiny_step import CPU, EXAMPLE, adapted

from paperlora.errors import InputError
from paperlora.pipeline.model import encoding, tiny
from paperlora.pipeline.model.encoding import Encoded


def test_the_loss_is_that_of_the_full_logits():
    _, tuned = adapted()
    tuned.eval()
    ids = torch.tensor([EXAMPLE.prompt + EXAMPLE.answer])
    with torch.no_grad():
        logits = tuned(input_ids=ids, use_cache=False).logits[0, :-1].float()
        expected = F.cross_entropy(
            logits[-len(EXAMPLE.answer) :], ids[0, -len(EXAMPLE.answer) :], reduction="sum"
        )
        assert encoding.answer_loss(tuned, EXAMPLE, CPU).item() == pytest.approx(expected.item())
        wrong = Encoded(prompt=EXAMPLE.prompt[1:], answer=EXAMPLE.answer)
        assert encoding.answer_loss(tuned, wrong, CPU).item() != pytest.approx(expected.item())


def test_encoding_ends_the_turn_and_keeps_the_end_of_a_long_prompt():
    tokenizer = tiny.tokenizer()
    short = encoding.encode(tokenizer, "ask", "tell", 100)
    text = tokenizer.decode(short.prompt + short.answer)
    assert text == (
        "<bos><start_of_turn>user\nask<end_of_turn>\n<start_of_turn>model\ntell<end_of_turn>"
    )
    assert tokenizer.decode(short.answer) == "tell<end_of_turn>"
    long = encoding.encode(tokenizer, "x" * 500 + "ask", "tell", 100)
    assert len(long.prompt) + len(long.answer) == 100
    assert tokenizer.decode(long.prompt).endswith("ask<end_of_turn>\n<start_of_turn>model\n")


def test_a_template_that_does_not_start_with_its_prompt_is_refused():
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template += "{% if add_generation_prompt %}<think>{% endif %}"
    with pytest.raises(InputError, match="chat template"):
        encoding.encode(tokenizer, "ask", "tell", 100)
