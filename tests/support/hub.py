"""A model hub on this machine: the requests that `snapshot_download` makes."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub, path = self.server, self.path.split("?")[0]
        if not hub.commits:
            gated = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}
            self._send(b"", 401, gated)
            return
        if path == "/move":
            hub.main = list(hub.commits)[-1]
        commit = next((one for one in hub.commits if f"/{one}" in path), hub.main)
        folder = hub.commits[commit]
        file = folder / path.rsplit("/", 1)[-1]
        if path.startswith(f"/api/models/{hub.repository}"):
            files = [{"rfilename": one.name} for one in sorted(folder.iterdir())]
            answer = {"id": hub.repository, "sha": commit, "siblings": files}
            self._send(json.dumps(answer).encode(), 200, {"X-Repo-Commit": commit})
        elif file.is_file():
            self._send(file.read_bytes(), 200, {"X-Repo-Commit": commit}, body=body)
        else:
            self._send(b"", 200 if path == "/move" else 404, {})

    def _send(self, content: bytes, status: int, headers: dict[str, str], *, body: bool = True):
        self.send_response(status)
        tag = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        for name, value in {**headers, **tag, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def serve(repository: str, commits: dict[str, Path]) -> Iterator[str]:
    """Yield the address of a hub that has one folder per commit of `repository`.

    `main` is the first commit until someone gets `/move`; then it is the last one. Without a
    commit the repository is gated.
    """
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.repository, server.commits = repository, commits
    server.main = next(iter(commits), "")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
