"""Sizes of layers, deletion of old blobs, and the first difference of two images."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from paperlora.environment.image import oci
from paperlora.environment.image.oci import Image

if TYPE_CHECKING:
    from pathlib import Path


def put(folder: Path, body: bytes) -> str:
    digest = hashlib.sha256(body).hexdigest()
    (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (folder / "blobs/sha256" / digest).write_bytes(body)
    return f"sha256:{digest}"


def packed(files: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, text in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(text)
            archive.addfile(about, io.BytesIO(text.encode()))
    return file.getvalue()


def image(folder: Path, *contents: dict[str, str], label: str = "") -> Image:
    digests = [put(folder, packed(files)) for files in contents]
    history = [
        {"created_by": f"RUN |1 A=b /bin/sh -c bash $INSTALL --stage {n} # buildkit"}
        for n in range(len(digests))
    ]
    history.insert(1, {"created_by": "ENV A=b", "empty_layer": True})
    config = put(folder, json.dumps({"history": history, "label": label}).encode())
    rows = [{"digest": one, "size": 10 + n} for n, one in enumerate(digests)]
    manifest = {"mediaType": "m", "config": {"digest": config}, "layers": rows}
    return Image(folder=folder, digest=put(folder, json.dumps(manifest).encode()))


BASE, CODE = {"etc/os": "debian"}, {"src/a.py": "a = 1\n", "src/b.py": "b = 2\n"}


def test_layers_have_size_and_instruction(tmp_path: Path) -> None:
    found = oci.layers(image(tmp_path, BASE, CODE))
    assert [one.size for one in found] == [10, 11]
    assert found[1].made_by == "bash $INSTALL --stage 1"


def test_what_earlier_builds_left_is_deleted(tmp_path: Path) -> None:
    image(tmp_path, BASE, {"src/a.py": "old"})
    new = image(tmp_path, BASE, CODE)
    oci.keep_only(new, "name:tag")
    assert len(list((tmp_path / "blobs/sha256").iterdir())) == 4
    (entry,) = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert entry["digest"] == new.digest
    assert entry["annotations"]["io.containerd.image.name"] == "name:tag"


@pytest.mark.skipif(not shutil.which("zstd"), reason="layers are unpacked with the zstd command")
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ({**CODE, "src/b.py": "b = 3\n"}, "layer 2 (bash $INSTALL --stage 1): src/b.py"),
        ({"src/a.py": "a = 1\n"}, "nothing"),
    ],
)
def test_the_first_difference_is_named(tmp_path: Path, code: dict[str, str], told: str) -> None:
    left, right = image(tmp_path / "l", BASE, CODE), image(tmp_path / "r", BASE, code)
    assert told in oci.first_difference(left, right)


def test_labels_alone_and_numbers_of_layers(tmp_path: Path) -> None:
    left = image(tmp_path / "l", BASE, CODE)
    assert "labels" in oci.first_difference(left, image(tmp_path / "r", BASE, CODE, label="x"))
    assert "more layers" in oci.first_difference(left, image(tmp_path / "s", BASE))
