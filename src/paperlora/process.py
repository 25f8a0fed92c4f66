"""Start other programs. A command is always a list, never a shell's line.

Only this module and ``pipeline.parse.forks`` start processes.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

NOT_FOUND = 127
"""The exit code for a program that is not installed, as a shell gives it."""
_STDERR = 2


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a child ended: ``code`` is negative for a signal; ``timed_out`` when its time was over."""

    code: int
    stdout: bytes
    stderr: str
    timed_out: bool = False

    @property
    def text(self) -> str:
        """What it printed, as text without the white space around it."""
        return self.stdout.decode(errors="replace").strip()


def run(
    command: Sequence[str],
    *,
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run ``command`` to its end and return what it printed.

    ``timeout`` is in seconds of wall time. The child is killed when its time is over; it never
    outlives this call.
    """
    try:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if environment is None else dict(environment),
        )
    except FileNotFoundError as error:
        return Finished(code=NOT_FOUND, stdout=b"", stderr=str(error))
    with _killed_on_error(child):
        try:
            stdout, stderr = child.communicate(timeout=timeout)
            timed_out = False
        except subprocess.TimeoutExpired:
            child.kill()
            stdout, stderr = child.communicate()
            timed_out = True
    return Finished(
        code=child.returncode,
        stdout=stdout,
        stderr=stderr.decode(errors="replace"),
        timed_out=timed_out,
    )


def call(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run ``command`` and return its exit code; what it prints goes to stderr."""
    try:
        return subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,  # stdout is for the result of the command that the user called
            cwd=cwd,
            env=None if environment is None else dict(environment),
            check=False,
        ).returncode
    except FileNotFoundError:
        return NOT_FOUND


@contextmanager
def stream(command: Sequence[str], *, feed: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``command`` and yield it with a pipe: to its ``stdin`` with ``feed``, else from ``stdout``.

    When the block ends, so has the child; its ``returncode`` is then known.
    """
    child = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        stdout=_STDERR if feed else subprocess.PIPE,
    )
    with _killed_on_error(child):
        yield child


@contextmanager
def _killed_on_error(child: subprocess.Popen[bytes]) -> Iterator[None]:
    with child:
        try:
            yield
        except BaseException:
            child.kill()
            raise
