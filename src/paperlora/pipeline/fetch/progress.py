"""Prints messages above the progress bar, and draws the bar for all downloads together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TYPICAL = 2_500_000
"""Bytes of a paper of unknown size, for the estimate only."""


def log(line: str) -> None:
    """Print a line to stderr, above the progress bar."""
    tqdm.write(line, file=sys.stderr)


class Progress:
    """One bar for all papers, in bytes; the server's size replaces the estimate of each."""

    def __init__(self, names: Iterable[str]) -> None:
        """Count each paper as ``TYPICAL`` until its server sends a size."""
        self._sizes = dict.fromkeys(names, TYPICAL)
        self._done = dict.fromkeys(self._sizes, 0)
        self._bar = tqdm(
            total=sum(self._sizes.values()), unit="B", unit_scale=True, disable=None, leave=False
        )

    def __enter__(self) -> Self:
        """Return the bar."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar from the terminal."""
        self._bar.close()

    def of(self, name: str) -> Callable[[int, int | None], None]:
        """Return the function that the download calls with bytes received and bytes expected."""

        def report(done: int, total: int | None) -> None:
            self._sizes[name] = max(done, total or self._sizes[name])
            self._move(name, done)

        self._bar.set_description(name)
        return report

    def drop(self, name: str) -> None:
        """Remove a paper that failed from the sum."""
        self._sizes[name] = 0
        self._move(name, 0)

    def _move(self, name: str, done: int) -> None:
        self._bar.total = sum(self._sizes.values())
        self._bar.update(done - self._done[name])
        self._done[name] = done
