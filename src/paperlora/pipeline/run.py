"""A run: its folder, its name, and the settings that it keeps.

A run stores its settings in ``config.toml``. Every later command uses them; ``--set``, ``--papers``
and a change in the file of ``--config`` are the only ways to change them.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import shlex
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paperlora.errors import DataError, InputError
from paperlora.files import ROOT, read_json, write_json, write_text
from paperlora.pipeline import config_file
from paperlora.pipeline.model import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from paperlora.pipeline.config import RunConfig

SETTINGS = "config.toml"
# The values of the configuration that the run began with, before any --set.
_BEGUN = ".stamps/begun.json"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run's settings as a command will use them, and what is new in them."""

    config: RunConfig
    begun: tuple[str, RunConfig] | None
    """The configuration that ``--config`` named, with its title, where it has to be stored."""
    changes: tuple[str, ...]
    """What differs from the stored settings, as ``train.max_steps 40 → 200``."""
    new: bool
    """Whether no settings are stored yet."""


def folder(name: str) -> Path:
    """Return the folder of a run: a path when it has a slash, else a name in the folder of runs.

    Raises ``InputError`` for a name that is not UTF-8: the results could not name the run.
    """
    if not name.isprintable():
        raise InputError(f"--run {name!r} is not a name that can be shown", remedy="give another")
    return Path(name).absolute() if "/" in name else runs_folder() / name


def runs_folder() -> Path:
    """Return the folder that holds the named runs."""
    return Path(os.environ.get("PAPERLORA_RUNS") or ROOT / "runs").absolute()


def exists(run: Path) -> bool:
    """Say whether ``run`` is the folder of a run."""
    return (run / SETTINGS).is_file()


def require(run: Path) -> None:
    """Raise ``InputError``, naming the runs with close names, unless ``run`` is one."""
    if exists(run):
        return
    beside = run.parent.iterdir() if run.parent.is_dir() else ()
    known = sorted(path.name for path in beside if exists(path))
    close = difflib.get_close_matches(run.name, known, n=3)
    guess = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    name = run.name if run.parent == runs_folder() else str(run)
    begin = f"begin it with `env/nox -s train -- --run {shlex.quote(name)}`"
    listed = f"The runs here are {', '.join(known[:20])}" if known else begin
    raise InputError(f"there is no run {name!r}", remedy=guess + listed)


def settings(
    run: Path,
    *,
    config: str | None = None,
    papers: Path | None = None,
    overrides: Sequence[str] = (),
) -> Settings:
    """Return the settings that ``run`` will have; nothing is written.

    A new run takes them from ``config`` (``demo`` when None). One that exists keeps its own: of
    the ``config`` that it began with, only the values count that changed since. ``papers`` and
    ``overrides`` (``section.key=value``) come last. Raises ``InputError`` for what is not valid.
    """
    name = config or "demo"
    own = name not in config_file.shipped()
    begun = _rooted(config_file.load(name), Path(name).absolute().parent if own else Path.cwd())
    new = not exists(run)
    old = begun if new else _stored(run)
    table, before = config_file.as_dict(old), config_file.as_dict(begun)
    if config and not new:
        before = _begun(run, name)
        for section, values in config_file.as_dict(begun).items():
            known = before.get(section, {})
            changed = {key: v for key, v in values.items() if known.get(key, v) != v}
            table[section] |= changed
    if papers:
        table["corpus"]["papers"] = str(papers)
    made = _rooted(config_file.from_table(table, overrides), Path.cwd())
    changes = () if new else tuple(_differences(old, made))
    again = new or (config is not None and before != config_file.as_dict(begun))
    kept = (_title(name), begun) if again else None
    return Settings(config=made, begun=kept, changes=changes, new=new)


def _stored(run: Path) -> RunConfig:
    try:
        return config_file.load(str(run / SETTINGS))
    except InputError as error:
        raise InputError(f"{run / SETTINGS} cannot be used: {error}") from None


def _differences(old: RunConfig, new: RunConfig) -> Iterator[str]:
    before = config_file.as_dict(old)
    for section, values in config_file.as_dict(new).items():
        for key, value in values.items():
            if before[section][key] != value:
                yield f"{section}.{key} {before[section][key]} → {value}"


def _title(config: str) -> str:
    """Return what tells one configuration from another: the name, or the whole path of a file."""
    return config if config in config_file.shipped() else os.path.realpath(config)


def _rooted(config: RunConfig, home: Path) -> RunConfig:
    """Return ``config`` with absolute folders, so that they mean the same from anywhere.

    ``home`` is the folder that relative ones start from.
    """
    table = config_file.as_dict(config)
    papers, model = config.corpus.papers, config.model.id
    if papers != "shipped":
        table["corpus"]["papers"] = os.path.normpath(home / papers)
    if model not in store.known() and ("/" in model or (home / model).is_dir()):
        table["model"]["id"] = os.path.normpath(home / model)
    return config_file.from_table(table)


def _begun(run: Path, config: str) -> dict[str, Any]:
    """Return the values of ``config`` when the run last took them.

    Raises ``InputError`` when the run began with another configuration, or that is not known.
    """
    remedy = "give --run instead of --config, and change settings with --set"
    try:
        known = read_json(run / _BEGUN)
        title, values = str(known["config"]), dict(known["values"])
    except (DataError, KeyError, TypeError, ValueError):
        raise InputError(f"{run} does not tell what it began with", remedy=remedy) from None
    if title != _title(config):
        raise InputError(f"{run} began with --config {title}, not with {config}", remedy=remedy)
    return values


@contextmanager
def locked(run: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the folder of ``run`` for one process; delete a new folder in which nothing was stored.

    ``shared`` is for processes that may work in the run at the same time, also on other machines.
    Raises ``InputError`` when another process works there, or the folder holds something else.
    """
    made = not run.exists()
    filled = run.is_dir() and any(run.iterdir())
    if filled and not (exists(run) or (run / ".lock").exists()):
        raise InputError(f"{run} is not empty and is not a run", remedy="name another --run")
    run.mkdir(parents=True, exist_ok=True)
    # Network file systems want a file that is open for reading (shared) and writing (exclusive).
    with (run / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{run} is in use by another process",
                remedy="wait until it ends, or name another --run",
            ) from None
        try:
            yield
        finally:
            if made and not exists(run):
                with suppress(OSError):  # another process that shares the run may have begun
                    (run / ".lock").unlink()
                    run.rmdir()


def store_settings(run: Path, settings: Settings) -> None:
    """Write what is new in the settings to the folder of ``run``, which must be locked."""
    if settings.begun is not None:
        title, values = settings.begun
        write_json(run / _BEGUN, {"config": title, "values": config_file.as_dict(values)})
    if settings.new or settings.changes:
        write_text(run / SETTINGS, config_file.to_toml(settings.config))
