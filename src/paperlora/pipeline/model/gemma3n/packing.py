"""Packs examples of different lengths side by side into rows of fixed length.

A captured step has fixed shapes, and without packing most of a row would be padding. Each example keeps
its own positions and attends to itself alone, so its loss and gradients are those of a row of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperlora.pipeline.model.encoding import Encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

UNLABELLED = -100  # the label that torch's cross-entropy ignores
STEP = 64
"""Row lengths are multiples of this, the largest block of the attention kernels."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of T tokens: for each, its id, position, label, and the bounds of its example in the row.

    The rest of the row counts as an example without an answer.
    """

    ids: list[int]
    positions: list[int]
    """The position within the example, from 0."""
    starts: list[int]
    ends: list[int]
    """The place after the example's last token."""
    labels: list[int]
    """The id of the next token if that belongs to the answer, else ``UNLABELLED``."""


def lengths(longest: int) -> list[int]:
    """Return the row lengths in use, ascending: ``longest``, rounded up, and its halves down to 256."""
    found = [-(-longest // STEP) * STEP]
    while found[-1] // 2 >= 256 and found[-1] // 2 % STEP == 0:
        found.append(found[-1] // 2)
    return sorted(found)


def pack(examples: Sequence[Encoded], longest: int) -> list[Row]:
    """Return rows that hold all ``examples``, uncut: longest first, each in the first row it fits into.

    A row has the shortest of ``lengths(longest)`` that holds its examples. Raises ``ValueError`` when
    an example is longer than all of them.
    """
    sizes = lengths(longest)
    rows: list[list[Encoded]] = []
    for example in sorted(examples, key=_size, reverse=True):
        if _size(example) > sizes[-1]:
            raise ValueError(f"an example of {_size(example)} tokens does not fit {sizes[-1]}")
        for row in rows:
            if sum(map(_size, row)) + _size(example) <= sizes[-1]:
                row.append(example)
                break
        else:
            rows.append([example])
    return [_row(row, sizes) for row in rows]


def _size(example: Encoded) -> int:
    return len(example.prompt) + len(example.answer)


def _row(examples: list[Encoded], sizes: list[int]) -> Row:
    used = sum(map(_size, examples))
    if left := next(size for size in sizes if size >= used) - used:
        # The rest repeats a real token: the embedding of padding is zero, where norms have no gradient.
        examples = [*examples, Encoded(prompt=examples[0].prompt[:1] * left, answer=[])]
    row = Row(ids=[], positions=[], starts=[], ends=[], labels=[])
    for example in examples:
        start, size = len(row.ids), _size(example)
        row.ids.extend(example.prompt + example.answer)
        row.positions.extend(range(size))
        row.starts.extend([start] * size)
        row.ends.extend([start + size] * size)
        row.labels.extend([UNLABELLED] * (len(example.prompt) - 1) + example.answer + [UNLABELLED])
    return row
