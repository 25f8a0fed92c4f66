"""The web, put into words: the session, what servers answer, and how a transfer fails.

TLS is always verified. Messages show addresses without their query, where keys and tokens are
kept, and never quote an exception of the libraries below, which may hold the whole address.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
import urllib3

from paperlora import __version__
from paperlora.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
MOST_REDIRECTS = 5


class ExhaustedError(NetworkError):
    """All attempts were used up, or the server asked for a longer wait than is granted."""


class TransientError(Exception):
    """Worth another attempt, after ``wait`` seconds if the server said so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        """Keep ``reason``, which reads on after an address, and ``wait``."""
        super().__init__(reason)
        self.wait = wait


def open_session() -> requests.Session:
    """Return a session that says who is asking and follows five redirects at most."""
    session = requests.Session()
    session.max_redirects = MOST_REDIRECTS
    session.headers["User-Agent"] = f"paperlora/{__version__}"
    session.headers["Accept-Encoding"] = "identity"  # a range counts the bytes of the file itself
    return session


def shown(url: str) -> str:
    """Return ``url`` as it may be printed: no user, password, query or fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what ``requests`` and ``urllib3`` raise into ``TransientError`` or ``NetworkError``."""
    try:
        yield
    except requests.exceptions.SSLError:
        raise NetworkError(
            f"{shown(url)} has no TLS certificate that this machine trusts",
            remedy="check the address, the clock, and a proxy's certificate (REQUESTS_CA_BUNDLE)",
        ) from None
    except requests.exceptions.ProxyError:
        raise NetworkError(
            f"{shown(url)} is not let through by the proxy",
            remedy="check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
        ) from None
    except requests.exceptions.TooManyRedirects:
        raise NetworkError(
            f"{shown(url)} redirects more than {MOST_REDIRECTS} times",
            remedy="give the final address in the list",
        ) from None
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise TransientError("did not answer in time") from None
    except (requests.ConnectionError, urllib3.exceptions.HTTPError):
        raise TransientError("cannot be reached, or broke off") from None
    except requests.RequestException:  # what is left: an address that is none, file:// and the like
        raise NetworkError(
            f"{shown(url)} leads to an address that is not http or https, or is damaged",
            remedy="give the final address in the list",
        ) from None


def judge(url: str, response: requests.Response) -> None:
    """Raise unless ``response`` carries the file at ``url``, or a part of it.

    Raises ``TransientError`` for what may pass, ``NetworkError`` for what stays.
    """
    last = ""
    for answer in (*response.history, response):
        scheme = urlsplit(answer.url).scheme
        if (last, scheme) == ("https", "http"):
            raise NetworkError(
                f"{shown(url)} leads from https to {shown(answer.url)}, where anyone may change it",
                remedy="give an https address that stays one",
            )
        last = scheme
    status = f"answered {response.status_code} {response.reason}"
    if response.status_code in BUSY:
        raise TransientError(status, retry_after(response.headers.get("Retry-After", "")))
    if response.status_code in {401, 403}:
        raise NetworkError(
            f"{shown(url)} {status}",
            remedy="it wants a login or refuses programs: get the PDF in a browser",
        )
    if response.status_code not in {200, 206}:
        raise NetworkError(f"{shown(url)} {status}", remedy="correct the address in the list")


def retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3): a number, or a date."""
    if re.fullmatch("[0-9]{1,9}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def length(response: requests.Response) -> int | None:
    """Return the bytes of the body that ``response`` promises, if it says so."""
    value = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    return int(value) if re.fullmatch("[0-9]{1,15}", value) and not encoded else None
