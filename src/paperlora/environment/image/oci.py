"""Read a built image: the sizes of its layers, and the first difference between two images.

An image is a folder in the OCI image layout: ``blobs/sha256/…`` and ``index.json``.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from paperlora import process
from paperlora.files import write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image in ``folder``; ``digest`` is the digest of its manifest."""

    folder: Path
    digest: str

    def blob(self, digest: str) -> Path:
        """Return the file with that digest."""
        return self.folder / "blobs" / digest.replace(":", "/")

    def json(self, digest: str) -> dict[str, Any]:
        """Return the JSON document with that digest."""
        document: dict[str, Any] = json.loads(self.blob(digest).read_text(encoding="utf-8"))
        return document


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer: ``size`` in compressed bytes, ``made_by`` the instruction that made it."""

    digest: str
    size: int
    made_by: str


def layers(image: Image) -> list[Layer]:
    """Return the layers of an image, the base first."""
    manifest = image.json(image.digest)
    history = image.json(manifest["config"]["digest"])["history"]
    made = [one.get("created_by", "") for one in history if not one.get("empty_layer")]
    # BuildKit adds this to an instruction.
    bare = [re.sub(r"^.*/bin/sh -c |--chmod=\S+ |# buildkit$", "", text) for text in made]
    return [
        Layer(digest=layer["digest"], size=layer["size"], made_by=text.strip()[:50] or "base image")
        for layer, text in zip(manifest["layers"], bare, strict=True)
    ]


def keep_only(image: Image, name: str) -> None:
    """Delete the files of earlier builds from the folder, and name the image ``name``."""
    manifest = image.json(image.digest)
    parts = [image.digest, manifest["config"]["digest"], *(one.digest for one in layers(image))]
    kept = {image.blob(part) for part in parts}
    for blob in (image.folder / "blobs/sha256").iterdir():
        if blob not in kept:
            blob.unlink()
    entry = {
        "mediaType": manifest["mediaType"],
        "digest": image.digest,
        "size": image.blob(image.digest).stat().st_size,
        "annotations": {"io.containerd.image.name": name},
    }
    write_json(image.folder / "index.json", {"schemaVersion": 2, "manifests": [entry]})


def first_difference(left: Image, right: Image) -> str:
    """Return which file of which layer differs first; needs the ``zstd`` command, which unpacks layers."""
    for number, (one, two) in enumerate(zip_longest(layers(left), layers(right)), start=1):
        if one is None or two is None:
            return f"one has more layers than the other, from layer {number}"
        if one.digest == two.digest:
            continue
        where = f"layer {number} ({one.made_by})"
        entries = zip_longest(_entries(left.blob(one.digest)), _entries(right.blob(two.digest)))
        for here, there in entries:
            if here != there:
                return f"{where}: {here or 'nothing'} and {there or 'nothing'}"
        return f"{where} is compressed differently"
    return "the layers are the same, labels or settings are not"


def _entries(layer: Path) -> Iterator[str]:
    """Yield name, mode, owner, time, size and content of each file of a layer."""
    with (
        process.stream(["zstd", "-dcf", str(layer)]) as unpacker,
        tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive,
    ):
        for one in archive:
            file = archive.extractfile(one) if one.isreg() else None
            seen = hashlib.sha256(file.read()).hexdigest()[:12] if file else one.linkname
            owner = f"{one.uid}:{one.gid}"
            yield f"{one.name} (mode {one.mode:o}, owner {owner}, time {one.mtime}, {one.size} bytes, {seen})"
