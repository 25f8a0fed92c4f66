"""Read a configuration from TOML, check it, and write it back as TOML."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from paperlora.errors import InputError
from paperlora.pipeline.config import RunConfig, allowed, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIGS = Path(__file__).with_name("configs")


def shipped() -> list[str]:
    """Return the names of the configurations that ship."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def load(name: str, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a shipped configuration by name, or a TOML file by path, and apply ``section.key=value``.

    Raises ``InputError`` for a missing file, bad TOML, an unknown key or a value that is not allowed.
    """
    path = CONFIGS / f"{name}.toml" if name in shipped() else Path(name)
    if not path.is_file():
        raise InputError(
            f"there is no configuration {name!r}{_suggest(name, shipped())}",
            remedy=f"give {', '.join(shipped())}, or the path of a TOML file",
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, not TOML, or an integer of thousands of digits
        raise InputError(f"{path} is not valid TOML: {error}", remedy="correct the file") from None
    return from_table(table, overrides)


def from_table(table: dict[str, Any], overrides: Iterable[str] = ()) -> RunConfig:
    """Apply each ``section.key=value`` to a table of sections and return it as a configuration.

    Raises ``InputError`` that names every fault.
    """
    for override in overrides:
        _override(table, override)
    try:
        return RunConfig.model_validate(table)
    except ValidationError as error:
        faults = [
            str(_fault(one["type"], [str(part) for part in one["loc"]], one["input"]))
            for one in error.errors(include_url=False)
        ]
        raise InputError("; ".join(faults)) from None


def as_dict(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as plain tables."""
    return config.model_dump()


def to_toml(config: RunConfig) -> str:
    """Write the configuration as TOML; ``load`` reads it back to an equal one."""
    sections = (
        f"[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for section, table in as_dict(config).items()
    )
    return "\n".join(sections)


def _toml(value: object) -> str:
    """Write a value as TOML: as JSON, but without pairs of surrogates, and with DEL escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _override(table: dict[str, Any], override: str) -> None:
    """Apply one ``section.key=value``; a value that is not TOML is taken as a string."""
    name, separator, text = override.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (separator and dot and key):
        raise InputError(
            f"--set {override!r} is not section.key=value", remedy="e.g. --set train.max_steps=10"
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        value = text.strip()
    if isinstance(table.setdefault(section, {}), dict):  # else validation refuses the section
        table[section][key] = value


def _fault(kind: str, place: list[str], value: object) -> InputError:
    """Return one fault that pydantic found: its ``kind``, the keys that lead to it, the value seen."""
    section, *keys = place
    name = ".".join(place[:2])
    if kind == "missing":
        return InputError(
            f"{name} is missing",
            remedy='add [model] with id = "…", a name in lockfiles/models.json',
        )
    if kind == "extra_forbidden":
        known = schema_of(section)["properties"] if keys else RunConfig.model_fields
        what = f"key {keys[0]!r} in [{section}]" if keys else f"section [{section}]"
        return InputError(
            f"unknown {what}{_suggest(place[-1], known)}", remedy=f"use {', '.join(known)}"
        )
    if not keys:
        return InputError(f"{name} is {value!r}", remedy=f"make it a table: [{name}]")
    verb = "is" if len(keys) == 1 else "contains"  # the second of two keys is an index of a list
    close = _suggest(str(value), schema_of(section)["properties"][keys[0]].get("enum", ()))
    return InputError(f"{name} {verb} {value!r}{close}", remedy=f"give {allowed(section, keys[0])}")


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
