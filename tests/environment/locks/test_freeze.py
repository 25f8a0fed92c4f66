from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paperlora.environment.locks import freeze
from paperlora.errors import InputError, NetworkError

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "c0ffee" * 6 + "0123"


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "freeze.txt"
    path.write_text("# a comment\nAlpha_One==1.0\nbeta @ file:///x/beta-2.0-py3-none-any.whl\n")
    assert freeze.read(str(path)) == {"alpha-one": "1.0", "beta": "2.0"}


def test_a_commit_is_fetched(tmp_path: Path) -> None:
    (tmp_path / COMMIT).write_text("alpha==1.0\n")
    published = tmp_path.as_uri() + "/{commit}"
    assert freeze.read(COMMIT, published=published) == {"alpha": "1.0"}
    with pytest.raises(NetworkError, match="download it and pass the file") as caught:
        freeze.read("0" * 40, published=published)
    assert caught.value.code == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lists no packages"),
        (b"# only a comment\n", "lists no packages"),
        (b"\xff\xfe", "is not text"),
        (b"<html>not found</html>\n", "is not a line of a package freeze"),
    ],
)
def test_what_is_no_freeze_is_bad_input(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "freeze.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        freeze.read(str(path))


def test_what_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a file nor a commit"):
        freeze.read(str(tmp_path / "c0ffee"))
