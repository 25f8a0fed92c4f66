"""Makes the HTTP session, and turns the answers of servers and failed transfers into errors.

TLS is always verified. Messages show addresses without their query, which may contain keys and
tokens. For the same reason they never quote an exception of ``requests`` or ``urllib3``.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.util import Retry

from paperlora import __version__
from paperlora.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
MOST_REDIRECTS = 5


class ExhaustedError(NetworkError):
    """All attempts failed, or the server asked for a longer wait than the limit."""


class TransientError(Exception):
    """A failure that may not happen again; ``wait`` has the seconds that the server asked for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        """Keep ``wait`` and ``reason``, which continues a sentence that begins with an address."""
        super().__init__(reason)
        self.wait = wait


def open_session() -> requests.Session:
    """Return a session with our User-Agent that follows at most ``MOST_REDIRECTS`` redirects."""
    session = requests.Session()
    session.max_redirects = MOST_REDIRECTS
    session.headers["User-Agent"] = f"paperlora/{__version__}"
    session.headers["Accept-Encoding"] = "identity"  # a range counts bytes as they are sent
    return session


def shown(url: str) -> str:
    """Return ``url`` without user, password, query and fragment, so that it may be printed."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what ``requests`` and ``urllib3`` raise into ``TransientError`` or ``NetworkError``."""
    try:
        yield
    except requests.exceptions.SSLError:
        raise NetworkError(
            f"{shown(url)} has a TLS certificate that this machine does not trust",
            remedy="check the address, the clock, and the proxy's certificate (REQUESTS_CA_BUNDLE)",
        ) from None
    except requests.exceptions.ProxyError:
        raise NetworkError(
            f"{shown(url)} cannot be reached through the proxy",
            remedy="check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
        ) from None
    except requests.exceptions.TooManyRedirects:
        raise NetworkError(
            f"{shown(url)} redirects more than {MOST_REDIRECTS} times",
            remedy="put the final address into the list",
        ) from None
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise TransientError("did not answer in time") from None
    except (requests.ConnectionError, urllib3.exceptions.HTTPError):
        raise TransientError("cannot be reached, or the connection broke off") from None
    except requests.RequestException:  # an address that is not valid, or file:// and the like
        raise NetworkError(
            f"{shown(url)} leads to an address that is not valid, or is not http or https",
            remedy="put the final address into the list",
        ) from None


def judge(url: str, response: requests.Response) -> None:
    """Raise unless ``response`` carries the file at ``url``, or a part of it.

    Raises ``TransientError`` when another attempt may work, else ``NetworkError``.
    """
    last = ""
    for answer in (*response.history, response):
        scheme = urlsplit(answer.url).scheme
        if (last, scheme) == ("https", "http"):
            raise NetworkError(
                f"{shown(url)} leads from https to {shown(answer.url)}, which is not protected",
                remedy="put an https address into the list that does not lead to http",
            )
        last = scheme
    status = f"answered {response.status_code} {response.reason}"
    if response.status_code in BUSY:
        raise TransientError(status, retry_after(response.headers.get("Retry-After", "")))
    if response.status_code in {401, 403}:
        raise NetworkError(
            f"{shown(url)} {status}",
            remedy="it needs a login or refuses programs: download the PDF with a browser",
        )
    if response.status_code not in {200, 206}:
        raise NetworkError(f"{shown(url)} {status}", remedy="correct the address in the list")


def retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3): a number, or a date."""
    try:
        return float(Retry().parse_retry_after(value))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def length(response: requests.Response) -> int | None:
    """Return the length of the body in bytes, or None when the headers do not give it."""
    value = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    return int(value) if re.fullmatch("[0-9]{1,15}", value) and not encoded else None
