"""A run: its folder, its name, and the settings that it keeps.

A run stores its settings in ``config.toml``. Every later command uses them; ``--set``, ``--papers``
and a change in the file of ``--config`` are the only ways to change them.
"""

from __future__ import annotations

import difflib
import fcntl
import json
import os
import shlex
from contextlib import contextmanager
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
    last = [*([_override("corpus.papers", str(papers))] if papers else []), *overrides]
    name = config or "demo"
    own = name not in config_file.shipped()
    rooted = _absolute(config_file.load(name), name) if own else []
    begun = config_file.load(name, rooted)
    if not exists(run):
        made = config_file.load(name, [*rooted, *last])
        made = config_file.load(name, [*rooted, *last, *_absolute(made)])
        return Settings(config=made, begun=(_title(name), begun), changes=(), new=True)
    stored, first = str(run / SETTINGS), []
    try:
        old = _values(config_file.load(stored))
    except InputError as error:
        raise InputError(f"{stored} cannot be used: {error}") from None
    if config and (known := _begun(run)):
        if known["config"] != _title(name):
            raise InputError(
                f"{run} began with --config {known['config']}, not with {name}",
                remedy="name another --run, or change settings with --set",
            )
        before = _flat(known["values"])
        first = [_override(k, v) for k, v in _values(begun).items() if before.get(k, v) != v]
    made = config_file.load(stored, [*first, *last])
    made = config_file.load(stored, [*first, *last, *_absolute(made)])
    new = _values(made)
    changes = tuple(f"{key} {old[key]} → {new[key]}" for key in new if old[key] != new[key])
    kept = (_title(name), begun) if first else None
    return Settings(config=made, begun=kept, changes=changes, new=False)


def _title(config: str) -> str:
    """Return what tells one configuration from another: the name, or the whole path of a file."""
    return config if config in config_file.shipped() else os.path.realpath(config)


def _absolute(config: RunConfig, file: str | None = None) -> list[str]:
    """Return overrides that make the folders absolute, so that they mean the same from anywhere.

    A relative folder starts from where ``file`` lies, or else from the current folder.
    """
    home = Path(file).absolute().parent if file else Path.cwd()
    papers, model = config.corpus.papers, config.model.id
    found = []
    if papers != "shipped":
        found.append(_override("corpus.papers", os.path.normpath(home / papers)))
    if model not in store.known() and ("/" in model or (home / model).is_dir()):
        found.append(_override("model.id", os.path.normpath(home / model)))
    return found


def _begun(run: Path) -> dict[str, Any]:
    """Return the values that the run began with; none where they are not known."""
    try:
        found: dict[str, Any] = read_json(run / _BEGUN)
    except DataError:
        return {}
    return found


def _values(config: RunConfig) -> dict[str, Any]:
    return _flat(config_file.as_dict(config))


def _flat(tables: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{name}.{key}": value for name, table in tables.items() for key, value in table.items()
    }


def _override(key: str, value: object) -> str:
    # JSON is TOML here, except that TOML does not allow a bare DEL.
    return f"{key}={json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")


@contextmanager
def opened(run: Path, settings: Settings) -> Iterator[None]:
    """Hold the folder of ``run`` for one process and store ``settings`` in it.

    Raises ``InputError`` when another process works there, or the folder holds something else.
    """
    ours = exists(run) or (run / ".lock").exists()
    if run.is_dir() and any(run.iterdir()) and not ours:
        raise InputError(f"{run} is not empty and is not a run", remedy="name another --run")
    run.mkdir(parents=True, exist_ok=True)
    with (run / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{run} is in use by another process",
                remedy="wait until it ends, or name another --run",
            ) from None
        if settings.new or settings.changes:
            write_text(run / SETTINGS, config_file.to_toml(settings.config))
        if settings.begun is not None:
            title, values = settings.begun
            write_json(run / _BEGUN, {"config": title, "values": config_file.as_dict(values)})
        yield
