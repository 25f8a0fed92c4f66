"""Keeps the pause between two requests to the same host, redirects included.

arXiv publishes its rate: at most one request every three seconds, over one connection, for all its
machines together (https://info.arxiv.org/help/api/tou.html). Other hosts get a shorter pause of
varying length. Downloads run one after the other, so there is never more than one connection.
"""

from __future__ import annotations

import random
from time import monotonic, sleep
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    import requests

ARXIV = "https://arxiv.org/pdf"
ARXIV_API = "https://export.arxiv.org/api/query"
ARXIV_PAUSE = 3.0
"""Seconds from one request to the next."""
PAUSE = 1.0
JITTER = 0.5
"""Seconds by which the pause of another host varies, at most."""


class Pace:
    """The earliest moment of the next request, for each host."""

    def __init__(self) -> None:
        """Begin without any request made."""
        self._next: dict[str, float] = {}

    def wait(self, url: str) -> None:
        """Sleep until a request to ``url`` is polite."""
        host = _host(url)
        if (rest := self._next.get(host, 0.0) - monotonic()) > 0:
            sleep(rest)
        pause = ARXIV_PAUSE if host == "arxiv.org" else PAUSE + random.uniform(0, JITTER)
        self._next[host] = monotonic() + pause

    def before_redirect(self, response: requests.Response, **_: object) -> None:
        """Wait before the session follows a redirect; a hook of ``requests``."""
        if response.is_redirect:
            self.wait(urljoin(response.url, response.headers["Location"]))


def _host(url: str) -> str:
    """Return the host of ``url``; all machines of arXiv count as one."""
    host = urlsplit(url).hostname or ""
    ours = url.startswith((f"{ARXIV}/", ARXIV_API)) or f".{host}".endswith(".arxiv.org")
    return "arxiv.org" if ours else host
