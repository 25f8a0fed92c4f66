"""Makes the HTTP session, repeats what failed, and turns failures into errors that name a remedy.

TLS is always verified. Messages show addresses without their query, which may contain keys and
tokens. For the same reason they never quote an exception of ``requests`` or ``urllib3``.

The retries are this module's own: urllib3's ``Retry`` ends where the body begins, so it cannot
resume one; its first retry comes at once, which arXiv forbids; and it waits in silence as long as a
server asks.
"""

from __future__ import annotations

import itertools
import random
import re
from contextlib import contextmanager
from time import sleep
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.util import Retry

from paperlora import __version__
from paperlora.errors import NetworkError
from paperlora.pipeline.fetch.progress import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paperlora.pipeline.fetch.pace import Pace

T = TypeVar("T")

TIMEOUT = (10.0, 30.0)  # seconds to connect, seconds between two reads
ATTEMPTS = 5
BACKOFF = 1.0  # seconds before the second attempt; twice as long before each further one
JITTER = 0.25  # the share of that time that is added at random, at most
LONGEST_WAIT = 120.0  # seconds
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
MOST_REDIRECTS = 5


class ExhaustedError(NetworkError):
    """All attempts failed."""


class LongWaitError(ExhaustedError):
    """The server asked for a longer wait than the limit."""


class ClosedError(LongWaitError):
    """The server asked this client for that wait, whichever file it requests (status 429)."""


class TransientError(Exception):
    """A failure that may not happen again; ``wait`` has the seconds that the server asked for."""

    def __init__(
        self,
        reason: str,
        wait: float | None = None,
        *,
        too_long: type[NetworkError] = LongWaitError,
    ) -> None:
        """Keep ``reason``, which continues a sentence that begins with an address, and the others.

        ``too_long`` is the error when ``wait`` is longer than the limit.
        """
        super().__init__(reason)
        self.wait = wait
        self.too_long = too_long


def open_session(pace: Pace) -> requests.Session:
    """Return a session with our User-Agent that follows at most ``MOST_REDIRECTS`` redirects."""
    session = requests.Session()
    session.hooks["response"].append(pace.before_redirect)
    session.max_redirects = MOST_REDIRECTS
    session.headers["User-Agent"] = f"paperlora/{__version__}"
    session.headers["Accept-Encoding"] = "identity"  # a range counts bytes as they are sent
    return session


def retried(url: str, attempt: Callable[[], T], *, pace: Pace, attempts: int = ATTEMPTS) -> T:
    """Call ``attempt``, which requests ``url``, until it raises no ``TransientError``.

    Raises ``ExhaustedError`` after the last attempt, and what else ``attempt`` raises.
    """
    for number in itertools.count(1):
        pace.wait(url)
        try:
            return attempt()
        except TransientError as error:
            _wait(url, number, attempts, error)
    raise AssertionError  # the loop has no end


def _wait(url: str, number: int, attempts: int, error: TransientError) -> None:
    """Sleep before the next attempt: as long as the server asked, else 1 s, 2 s, 4 s and so on."""
    wait = error.wait
    if wait is None:
        wait = BACKOFF * 2 ** (number - 1) * (1 + random.uniform(0, JITTER))
    if wait > LONGEST_WAIT:
        raise error.too_long(
            f"{shown(url)} {error} and asks to wait {wait:.0f} s",
            remedy="run the command again after that time",
        ) from None
    if number >= attempts:
        raise ExhaustedError(
            f"{shown(url)} {error} (attempts: {number})",
            remedy="run the command again later; it resumes where it stopped",
        ) from None
    log(f"{shown(url)} {error}; next attempt in {wait:.0f} s")
    sleep(wait)


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
    except requests.ConnectionError:
        raise TransientError("cannot be reached, or closes the connection") from None
    except urllib3.exceptions.HTTPError:  # requests does not translate what happens in the body
        raise TransientError("broke off in the middle of the file") from None
    except (requests.RequestException, ValueError):  # not a valid address, or file:// and the like
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
        wait = retry_after(response.headers.get("Retry-After", ""))
        too_long = ClosedError if response.status_code == 429 else LongWaitError
        raise TransientError(status, wait, too_long=too_long)
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
