"""A model hub with one repository, on this machine; it answers the requests of `snapshot_download`."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(repository: str, folder: Path | None, commit: str = COMMIT) -> Iterator[str]:
    """Yield the address of a hub that has `folder` as `repository`; with None, the repository is gated.

    Its branch is at `commit`; a request for another commit by its digits gets the same files.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            if folder is None:
                self.send_response(401)
                self.send_header("X-Error-Code", "GatedRepo")
                self.send_header("X-Error-Message", "Access is restricted")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            name = self.path.split("?")[0].rsplit("/", 1)[-1]
            if self.path.startswith(f"/api/models/{repository}/"):
                files = [{"rfilename": path.name} for path in sorted(folder.iterdir())]
                asked = re.search(r"/revision/([0-9a-f]{40})", self.path)
                sha = asked[1] if asked else commit
                self._send(json.dumps({"id": repository, "sha": sha, "siblings": files}).encode())
            elif (folder / name).is_file():
                self._send((folder / name).read_bytes(), body=body)
            else:
                self.send_error(404)

        def _send(self, content: bytes, *, body: bool = True) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            asked = re.search(r"/resolve/([0-9a-f]{40})/", self.path)
            self.send_header("X-Repo-Commit", asked[1] if asked else commit)
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
