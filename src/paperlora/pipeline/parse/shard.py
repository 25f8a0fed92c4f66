"""Divide a folder of papers into parts, one for each of several machines."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from paperlora.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Part ``number`` (from 1) of ``count`` parts of a folder."""

    number: int
    count: int

    def __str__(self) -> str:
        """Return the part as the command line has it."""
        return f"{self.number}/{self.count}"

    def __contains__(self, path: Path) -> bool:
        """Return whether a file is in this part; its name alone decides."""
        digest = sha256(path.name.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest) % self.count == self.number - 1


def from_text(text: str) -> Shard:
    """Return the part that a user wrote as ``I/N``; raises ``InputError``."""
    number, _, count = text.partition("/")
    decimal = number.isdecimal() and count.isdecimal()
    if not decimal or not 1 <= int(number) <= int(count):
        raise InputError(f"--shard is {text!r}", remedy="give I/N with I from 1 to N, like 2/8")
    return Shard(number=int(number), count=int(count))
