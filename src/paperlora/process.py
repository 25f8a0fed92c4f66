"""Child processes: the one place that starts them, always as a list, never through a shell."""

from __future__ import annotations

import resource
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a child ended: ``code`` is negative for a signal; ``timed_out`` when it was killed for time."""

    code: int
    stdout: bytes
    stderr: str
    timed_out: bool


_running: set[subprocess.Popen[bytes]] = set()


_ended = threading.Event()


def kill_all() -> None:
    """Kill every child that a thread waits for in ``run``, and let none start: for an interruption."""
    _ended.set()
    for child in list(_running):
        child.kill()


def run(
    command: Sequence[str],
    *,
    timeout: float | None = None,
    memory_bytes: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run ``command`` to its end and return what it printed.

    ``timeout`` is in seconds of wall time, ``memory_bytes`` bounds the child's address space.
    The child is killed when its time is over; it never outlives this call.
    """
    if _ended.is_set():
        return Finished(code=-signal.SIGKILL, stdout=b"", stderr="interrupted", timed_out=False)
    with subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if environment is None else dict(environment),
    ) as child:
        _running.add(child)
        try:
            if memory_bytes is not None:
                # From outside, since code between fork and exec is not safe beside threads.
                with suppress(ProcessLookupError):
                    resource.prlimit(child.pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
            stdout, stderr = child.communicate(timeout=timeout)
            timed_out = False
        except subprocess.TimeoutExpired:
            child.kill()
            stdout, stderr = child.communicate()
            timed_out = True
        except BaseException:
            child.kill()
            raise
        finally:
            _running.discard(child)
    return Finished(
        code=child.returncode,
        stdout=stdout,
        stderr=stderr.decode(errors="replace"),
        timed_out=timed_out,
    )


def call(command: Sequence[str]) -> int:
    """Run ``command`` with this process's own output and return its exit code (127: not found)."""
    try:
        return subprocess.run(list(command), stdin=subprocess.DEVNULL, check=False).returncode
    except FileNotFoundError:
        return 127
