"""Packing: examples of different lengths side by side in rows of fixed length.

A captured step has fixed shapes; without packing most of a row would be padding. Each example keeps
positions of its own and attends to itself alone, so that its loss and its gradients are what they
would be in a row of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperlora.pipeline.model.encoding import Encoded

UNLABELLED = -100
STEP = 64
"""Lengths of rows are multiples of this, as the matrix units and attention's masks ask."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Token ids and, for each, its position, where its example starts and ends, and the token to predict.

    What is left of the row counts as an example without an answer.
    """

    ids: list[int]
    positions: list[int]
    starts: list[int]
    ends: list[int]
    labels: list[int]
    """The id of the next token where that belongs to an answer, else ``UNLABELLED``."""


def lengths(longest: int) -> list[int]:
    """Return the row lengths in use: ``longest``, rounded up, and its halves down to 256."""
    found = [-(-longest // STEP) * STEP]
    while found[-1] // 2 >= 256 and found[-1] // 2 % STEP == 0:
        found.append(found[-1] // 2)
    return sorted(found)


def pack(examples: Sequence[Encoded], longest: int) -> list[Row]:
    """Return rows that hold all ``examples``, none cut: each goes, longest first, where it still fits.

    The last step of a training has rows as short as ``lengths`` allows. Raises ``ValueError`` when an example
    is longer than ``longest``.
    """
    sizes = lengths(longest)
    rows: list[list[Encoded]] = []
    for example in sorted(examples, key=_size, reverse=True):
        if _size(example) > sizes[-1]:
            raise ValueError(f"an example of {_size(example)} tokens does not fit {sizes[-1]}")
        fitting = (row for row in rows if sum(map(_size, row)) + _size(example) <= sizes[-1])
        row = next(fitting, None)
        if row is None:
            rows.append([example])
        else:
            row.append(example)
    return [_row(row, sizes) for row in rows]


def _size(example: Encoded) -> int:
    return len(example.prompt) + len(example.answer)


def _row(examples: list[Encoded], sizes: list[int]) -> Row:
    used = sum(map(_size, examples))
    left = next(size for size in sizes if size >= used) - used
    ids: list[int] = []
    labels: list[int] = []
    sizes_within = [*map(_size, examples), *([left] if left else [])]
    for example in examples:
        ids += example.prompt + example.answer
        labels += [UNLABELLED] * (len(example.prompt) - 1) + example.answer + [UNLABELLED]
    # Any real token will do for the rest, but not the pad: norms have no gradient at its nought.
    ends = list(accumulate(sizes_within))
    return Row(
        ids=ids + ids[:1] * left,
        positions=[place for size in sizes_within for place in range(size)],
        starts=[
            end - size for size, end in zip(sizes_within, ends, strict=True) for _ in range(size)
        ],
        ends=[end for size, end in zip(sizes_within, ends, strict=True) for _ in range(size)],
        labels=labels + [UNLABELLED] * left,
    )
