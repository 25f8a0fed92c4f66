"""A web server on this machine that gives the answers, good or bad, that a test sets."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Answer = Callable[["Handler"], None]

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 800 + b"\n%%EOF\n"  # about 200 kB: several chunks


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(kw_only=True)
class Server:
    """Answers ``GET`` for a path with its answers in turn; the last is repeated.

    Use it as a context; ``seen`` lists the requests, and ``gets`` those that ask for a body.
    """

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    scheme: str = "http"

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._http.owner = self  # type: ignore[attr-defined]
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients may leave
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def encrypt(self, folder: Path) -> Path:
        """Serve over TLS from now on, and return the certificate that a client has to trust."""
        pem, key = folder / "cert.pem", folder / "key.pem"
        openssl = shutil.which("openssl") or "openssl"
        subprocess.run(
            [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", key, "-out", pem, "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.scheme = "https"
        return pem

    @property
    def base(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._http.server_port}"

    @property
    def other_host(self) -> str:
        """The same server by another name."""
        return self.base.replace("127.0.0.1", "localhost")

    @property
    def gets(self) -> list[Seen]:
        return [request for request in self.seen if request.method == "GET"]

    def put(self, path: str, *answers: Answer) -> str:
        """Set what ``path`` answers and return its whole address."""
        self.answers[path] = list(answers)
        return self.base + path


class Handler(BaseHTTPRequestHandler):
    """One request; each has its own connection, so that a broken one does not affect the next."""

    def do_GET(self) -> None:
        server: Server = self.server.owner  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        server.seen.append(Seen(method="GET", path=self.path, headers=dict(self.headers)))
        answers = server.answers.get(path) or [status(404)]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self)

    def begin(self, code: int, headers: dict[str, str | None]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def body(
    content: bytes = PDF,
    *,
    tag: str | None = '"one"',
    modified: str | None = None,
    ranges: bool = True,
    length: bool = True,
    kind: str = "application/pdf",
    stop: int | None = None,
    shift: int = 0,
    declared: int | None = None,
    pause: float = 0,
) -> Answer:
    """Answer with ``content``, or with the requested part if ``ranges`` and the validator matches.

    ``stop``: close the connection after this number of bytes. ``shift``: send a part that begins this
    number of bytes before the requested one. ``declared``: the length that the header has.
    ``pause``: seconds after each 8 kB.
    """

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        fresh = handler.headers.get("If-Range") in {tag, modified}
        start = int(asked[len("bytes=") : -1]) if asked and ranges and fresh else 0
        start = max(0, start - shift)
        headers = {"Content-Type": kind, "ETag": tag, "Last-Modified": modified}
        if start >= len(content) and start:
            handler.begin(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers["Content-Length"] = str(declared or len(content) - start) if length else None
        handler.begin(206 if start else 200, headers)
        rest = content[start:][:stop]
        for first in range(0, len(rest), 8192):
            handler.wfile.write(rest[first : first + 8192])
            time.sleep(pause)

    return answer


def status(code: int, **headers: str) -> Answer:
    """Answer with a status and no body; ``retry_after="7"`` is the header Retry-After."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return lambda handler: handler.begin(code, {"Content-Length": "0", **named})


def redirect(to: str) -> Answer:
    return status(302, location=to)


def page(kind: str = "text/html; charset=utf-8") -> Answer:
    """Answer 200 with a web page, as consent and login pages do."""
    return body(b"\n<!DOCTYPE html><title>Please log in</title>" + b" " * 100_000, kind=kind)


def drip(pause: float, content: bytes = PDF) -> Answer:
    """Answer with a byte at a time, so that no single read is ever late."""

    def answer(handler: Handler) -> None:
        handler.begin(200, {"Content-Length": str(len(content)), "ETag": '"slow"'})
        try:
            for byte in content:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(pause)
        except OSError:
            return  # the client closed the connection

    return answer


def reset(content: bytes = PDF, *, stop: int | None = None) -> Answer:
    """Answer with a whole length and ``stop`` bytes, then reset the connection (TCP RST).

    Without ``stop`` the reset comes in place of an answer.
    """

    def answer(handler: Handler) -> None:
        if stop is not None:
            headers = {"Content-Length": str(len(content)), "ETag": '"one"'}
            handler.begin(200, {"Content-Type": "application/pdf", **headers})
            handler.wfile.write(content[:stop])
            time.sleep(0.02)  # a reset discards what the client has not read yet
        # Without lingering, close sends a reset.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    return answer


def stall(seconds: float, content: bytes = PDF, *, stop: int = 0) -> Answer:
    """Answer with a whole length and ``stop`` bytes, then send nothing for some seconds."""

    def answer(handler: Handler) -> None:
        handler.begin(200, {"Content-Length": str(len(content)), "ETag": '"one"'})
        handler.wfile.write(content[:stop])
        time.sleep(seconds)

    return answer


def silence(seconds: float) -> Answer:
    """Accept the request and send nothing for some seconds."""
    return lambda _handler: time.sleep(seconds)
