import hashlib
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
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), atomic(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_the_error_of_a_full_disk_names_the_file(tmp_path):
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


NOT_UTF8 = "/papers/b\udcff"  # as os.fsdecode returns the bytes /papers/b\xff


def test_a_name_that_is_not_utf_8_comes_back_from_json(tmp_path):
    write_json(tmp_path / "a.json", {NOT_UTF8: "é"})
    assert read_json(tmp_path / "a.json") == {NOT_UTF8: "é"}
    write_jsonl(tmp_path / "a.jsonl", [{"file": NOT_UTF8}])
    assert read_jsonl(tmp_path / "a.jsonl") == [{"file": NOT_UTF8}]
    # The control: the file itself is UTF-8, and other text is not escaped.
    assert "é" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", NOT_UTF8)


def test_every_name_has_a_digest_of_its_own():
    assert len({sha256_json(name) for name in (NOT_UTF8, "/papers/b?", "/papers/b\\udcff")}) == 3
    assert sha256_json("é") == hashlib.sha256('"é"'.encode()).hexdigest()
