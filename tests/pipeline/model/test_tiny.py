from paperlora.pipeline.model import tiny


def test_the_tiny_tokenizer_keeps_any_text():
    tokenizer = tiny.tokenizer()
    text = "naïve ﬁ ∑ 你好\n"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text
