import random

import pytest

from paperlora.pipeline.model.encoding import Encoded
from paperlora.pipeline.model.gemma3n import packing


def example(before, after, first):
    ids = range(first, first + before + after)
    return Encoded(prompt=list(ids[:before]), answer=list(ids[before:]))


def test_every_example_is_in_one_row_uncut_and_apart():
    rng = random.Random(0)
    found = [example(rng.randrange(1, 300), rng.randrange(1, 200), 1000 * n) for n in range(30)]
    rows = packing.pack(found, 1024)
    seen = {}
    for row in rows:
        assert len(row.ids) in packing.lengths(1024)
        assert len({map(len, vars(row).values())}) == 1
        for start, end in sorted(set(zip(row.starts, row.ends, strict=True))):
            assert row.positions[start:end] == list(range(end - start))
            labels = [label for label in row.labels[start:end] if label != packing.UNLABELLED]
            if labels:
                seen[row.ids[start]] = row.ids[start:end], labels
    assert len(seen) == 30
    for one in found:
        assert seen[one.prompt[0]] == (one.prompt + one.answer, one.answer)


def test_a_label_is_the_next_token():
    (row,) = packing.pack([example(3, 2, 10)], 256)
    assert row.labels[:5] == [-100, -100, 13, 14, -100]
    assert row.ids[5:] == [10] * 251


def test_few_tokens_get_a_short_row():
    assert packing.lengths(1024) == [256, 512, 1024]
    assert packing.lengths(1000) == [256, 512, 1024]
    assert packing.lengths(100) == [128]
    assert [len(row.ids) for row in packing.pack([example(200, 40, 0)], 1024)] == [256]


def test_an_example_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="1030 tokens"):
        packing.pack([example(1000, 30, 0)], 1024)
