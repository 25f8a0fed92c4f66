import pytest

from paperlora.pipeline.text import TfIdf, sentences, words


def test_words_keep_inner_hyphens_and_drop_marks():
    assert words("State-of-the-art (LoRA's) 4-bit, x_1!") == [
        "state-of-the-art",
        "lora's",
        "4-bit",
        "x",
        "1",
    ]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One ends here. Two ends here.", 2),
        ("As Hu et al. 2021 show, it works. It does.", 2),
        ("See Fig. 3 and Eq. 4 there. Then go.", 2),
        ("J. Smith wrote it. We read it.", 2),
        ("A value of 3.14 is not an end.", 1),
        ("Is it? Yes! “Quoted.” (In brackets.)", 4),
        ("", 0),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text, count):
    assert len(sentences(text)) == count


def test_similarity_is_one_for_equal_zero_for_unrelated_texts():
    tfidf = TfIdf.over(["carbon budget", "carbon cycle", "camera lens"])
    assert tfidf.similarity("carbon budget", "Carbon, budget!") == pytest.approx(1)
    assert tfidf.similarity("carbon budget", "camera lens") == 0
    assert tfidf.similarity("", "camera") == 0
    assert tfidf.similarity("the of and", "the of and") == 0


def test_rare_words_weigh_more_than_common_ones():
    tfidf = TfIdf.over(["carbon budget", "carbon cycle", "carbon lens"])
    rare = tfidf.similarity("carbon budget", "budget camera")
    common = tfidf.similarity("carbon budget", "carbon camera")
    assert rare > common > 0
