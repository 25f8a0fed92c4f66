"""Delays Ctrl-C and `docker stop`, so that a loop can end where its state is complete."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Delay SIGINT and SIGTERM; yield a function that returns whether one has arrived.

    A second signal raises ``KeyboardInterrupt`` at once: the user does not want to wait.
    """
    arrived = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal arrived
        if arrived:
            raise KeyboardInterrupt
        arrived = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
