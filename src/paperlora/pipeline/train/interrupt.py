"""Ctrl-C and `docker stop` as a question that a loop asks, so that it stops where its state is whole."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Hold back SIGINT and SIGTERM; yield a function that says whether one has come.

    A second signal is not held back: whoever presses Ctrl-C twice does not want to wait.
    """
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
