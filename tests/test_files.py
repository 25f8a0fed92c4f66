import json

import pytest

from paperlora.errors import DataError
from paperlora.files import (
    atomic,
    read_json,
    read_jsonl,
    sha256_file,
    sha256_json,
    write_json,
    write_jsonl,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), atomic(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_a_disk_that_fills_up_is_said_with_the_file(tmp_path):
    with pytest.raises(OSError, match="No space") as caught, atomic(tmp_path / "a.json"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_an_unserialisable_row_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_jsonl(tmp_path / "a.jsonl", [{"good": 1}, {"bad": object()}])
    assert list(tmp_path.iterdir()) == []


def test_rows_come_back_as_they_were(tmp_path):
    rows = [{"text": "fi — ﬁ\u2028"}, {"n": 1.5}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert read_jsonl(tmp_path / "a.jsonl") == rows


@pytest.mark.parametrize("read", [read_json, read_jsonl])
def test_missing_and_damaged_files_are_named(tmp_path, read):
    with pytest.raises(DataError, match="missing"):
        read(tmp_path / "none")
    (tmp_path / "bad").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        read(tmp_path / "bad")


def test_digests_follow_content_not_order_of_keys(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert sha256_file(tmp_path / "empty").startswith("e3b0c44298fc1c14")
    assert sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1})
    assert sha256_json({"a": 1}) != sha256_json({"a": 2})
