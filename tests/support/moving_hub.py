"""A model hub whose branch `main` moves: each commit has its own files."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serve(repository: str, commits: dict[str, Path]) -> Iterator[str]:
    """Yield the address of a hub that has one folder per commit of `repository`.

    `main` is the first commit until someone gets `/move`; then it is the last one.
    """
    main = next(iter(commits))

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            nonlocal main
            path = self.path.split("?")[0]
            if path == "/move":
                main = list(commits)[-1]
                self._send(b"moved", main)
                return
            commit = next((one for one in commits if f"/{one}" in path), main)
            file = commits[commit] / path.rsplit("/", 1)[-1]
            if path.startswith(f"/api/models/{repository}"):
                files = [{"rfilename": one.name} for one in sorted(commits[commit].iterdir())]
                answer = {"id": repository, "sha": commit, "siblings": files}
                self._send(json.dumps(answer).encode(), commit)
            elif file.is_file():
                self._send(file.read_bytes(), commit, body=body)
            else:
                self.send_error(404)

        def _send(self, content: bytes, commit: str, *, body: bool = True) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
