from __future__ import annotations

from pathlib import Path

import pytest

from paperlora.errors import InputError
from paperlora.pipeline.parse.shard import Shard, from_text

FILES = [Path(f"/papers/paper-{number}.pdf") for number in range(400)]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_each_file_is_in_exactly_one_part_and_parts_are_of_like_size(count: int) -> None:
    parts = [Shard(number=number, count=count) for number in range(1, count + 1)]
    assert all(sum(file in part for part in parts) == 1 for file in FILES)
    sizes = [sum(file in part for file in FILES) for part in parts]
    assert min(sizes) > 0.7 * len(FILES) / count


def test_the_name_alone_decides_also_one_that_is_not_utf_8() -> None:
    part = Shard(number=2, count=3)
    for file in (*FILES, Path("/papers/b\udcff.pdf")):
        assert (file in part) == (Path("/elsewhere") / file.name in part)


def test_a_part_is_read_from_text() -> None:
    assert from_text("2/8") == Shard(number=2, count=8)
    assert str(from_text("02/8")) == "2/8"


@pytest.mark.parametrize("text", ["", "2", "0/8", "9/8", "2/", "/8", "-1/8", "2/8/9", "a/b", "²/8"])
def test_what_is_not_a_part_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give I/N") as caught:
        from_text(text)
    assert repr(text) in str(caught.value)
