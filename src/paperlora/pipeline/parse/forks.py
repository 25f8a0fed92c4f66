"""Fork one child with limits for each request, from a server that has loaded the libraries.

A new interpreter that imports the same libraries takes half a second, a fork some milliseconds.
``ForkServer`` is the parent's side. The server runs this module as a program.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_STATUS = struct.Struct("4si")
"""The exit code at the end of an answer, after ``_MARK``, which no answer in JSON contains."""
_MARK = b"\0end"
_KILLED = -signal.SIGKILL
_READY = b"+"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one child of a ``ForkServer`` may use. It cannot write files or start processes."""

    seconds: float
    """Wall time and processor time."""
    memory_bytes: int
    """Address space."""
    output_bytes: int
    """Bytes of its answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a child ended: ``code`` is its exit code, or the negative number of a signal."""

    code: int
    output: bytes = b""
    timed_out: bool = False
    too_long: bool = False
    """Whether its output was larger than allowed."""


class ServerEndedError(Exception):
    """A ``ForkServer`` cannot start, or it ended; the message is the last line that it printed."""


class ForkServer:
    """A process that forks one child for each request; several threads may use one server.

    Its children end when it does, and it ends when this process does, even if this one is killed.
    """

    def __init__(self, module: str) -> None:
        """Start a server whose children run the function ``answer`` of ``module``.

        Returns when ``module`` is imported and its function ``prepare`` has run. The server ends
        with the thread that starts it. Raises ``ServerEndedError``.
        """
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, module, str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
            )
        try:
            ready = self._requests.recv(1)
        except BaseException:
            self.close()
            raise
        if not ready:
            self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
            self.close()
            raise ServerEndedError((lines or [f"exit code {self._process.returncode}"])[-1])

    def run(self, request: object, limits: Limits) -> Answer:
        """Return what ``answer`` returns for ``request`` (JSON), computed in a new child.

        A child that uses more time or output than ``limits`` allows is killed. Raises
        ``ServerEndedError``.
        """
        message = json.dumps({"limits": asdict(limits), "request": request}).encode()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                try:
                    socket.send_fds(self._requests, [message], [theirs.fileno()])
                except (BrokenPipeError, ConnectionResetError):
                    raise ServerEndedError("it takes no requests") from None
            # When this block ends early, the server sees that ``ours`` is closed and kills the child.
            return _receive(ours, limits)

    def close(self) -> None:
        """End the server and its children."""
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._errors.close()


def _receive(reply: socket.socket, limits: Limits) -> Answer:
    """Return what comes through ``reply``: the child's answer, then its exit code from the server."""
    deadline = time.monotonic() + limits.seconds
    data = bytearray()
    while len(data) <= limits.output_bytes + _STATUS.size:
        try:
            reply.settimeout(max(deadline - time.monotonic(), 0.001))
            part = reply.recv(1 << 16)
        except TimeoutError:
            return Answer(code=_KILLED, timed_out=True)
        if part:
            data += part
            continue
        if not data[-_STATUS.size :].startswith(_MARK):
            raise ServerEndedError("it sent no exit code of a child")
        _, code = _STATUS.unpack(data[-_STATUS.size :])
        del data[-_STATUS.size :]
        return Answer(code=code, output=bytes(data), timed_out=code == -signal.SIGXCPU)
    return Answer(code=_KILLED, too_long=True)


@dataclass(frozen=True, kw_only=True)
class _Child:
    pid: int
    reply: socket.socket
    alive: int
    """A pipe that ends when the child does."""


def _main(module: str, parent: str) -> None:
    """Serve the requests of the process ``parent`` until it ends."""
    _end_with(int(parent))
    # Ctrl-C and `kill` reach the whole group. The parent decides; the children end with it.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    served = import_module(module)
    served.prepare()
    _serve(served.answer)


def _serve(work: Callable[[Any], bytes]) -> None:
    """Fork a child for each request; each child runs ``work``."""
    gc.freeze()  # a collection in a child would otherwise copy all shared memory
    requests = socket.socket(fileno=0)
    requests.send(_READY)
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            # One event at a time: the next one may be about a child that this one removes.
            for key, _ in selector.select()[:1]:
                if key.fileobj is requests:
                    message, files, _, _ = socket.recv_fds(requests, 1 << 20, 1)
                    if not message:
                        return
                    child = _fork(work, json.loads(message), socket.socket(fileno=files[0]))
                    selector.register(child.alive, selectors.EVENT_READ, child)
                    selector.register(child.reply, selectors.EVENT_READ, child)
                elif key.fileobj is key.data.reply:  # the parent has closed its end
                    os.kill(key.data.pid, signal.SIGKILL)
                    selector.unregister(key.data.reply)
                else:
                    _finish(key.data, selector)


def _finish(child: _Child, selector: selectors.BaseSelector) -> None:
    """Send the exit code of a child that has ended, and close its files."""
    _, status = os.waitpid(child.pid, 0)
    with suppress(OSError):  # the parent has closed its end
        child.reply.sendall(_STATUS.pack(_MARK, os.waitstatus_to_exitcode(status)))
    with suppress(KeyError):
        selector.unregister(child.reply)
    selector.unregister(child.alive)
    child.reply.close()
    os.close(child.alive)


def _fork(work: Callable[[Any], bytes], message: dict[str, Any], reply: socket.socket) -> _Child:
    server = os.getpid()
    alive, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _bound(Limits(**message["limits"]), server, reply.fileno(), held)
            with open(1, "wb") as output:
                output.write(work(message["request"]))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(held)
    return _Child(pid=pid, reply=reply, alive=alive)


def _bound(limits: Limits, server: int, output: int, held: int) -> None:
    """Set the limits of this new child, and leave it no open file except its output.

    ``server`` is the process that made it; ``held`` is the end of the pipe that shows that it lives.
    """
    _end_with(server)
    with suppress(OSError):  # when memory runs out, the kernel ends a reader before anything else
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(nothing, 2)
    # Also the answers of the other children: they would not end while this child has them open.
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names of descriptors
        if int(name) > 2 and int(name) != held:
            with suppress(OSError):
                os.close(int(name))
    seconds = math.ceil(limits.seconds)
    for limit, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when ``parent``, which started it, ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
