"""Read what packages require, and find the requirements that a set of packages does not meet.

Requirements are PEP 508 strings, evaluated with ``packaging`` for the Python and platform of a
target, not for those of the interpreter that runs this.
"""

from __future__ import annotations

import io
import re
import time
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cache
from typing import TYPE_CHECKING, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from paperlora.environment.core.installed import normalised
from paperlora.environment.core.lock import Metadata
from paperlora.errors import DataError, NetworkError

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterable, Mapping

    from _typeshed import WriteableBuffer

_SECONDS = 60
_BLOCK = 1 << 16
# Seconds to wait before each new try when there was no answer at all.
_WAITS = (1, 3)
_PARTIAL = 206
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


@dataclass(frozen=True, kw_only=True, order=True)
class Unmet:
    """``package`` requires ``requirement`` of ``needs``; ``found`` is its version, ``""`` if missing."""

    package: str
    requirement: str
    needs: str
    found: str


def parse(text: str) -> Metadata:
    """Parse the text of a ``METADATA`` or ``PKG-INFO`` file (core metadata, RFC 822 headers)."""
    head = HeaderParser().parsestr(text)
    return Metadata(
        name=normalised(head.get("Name", "")),
        version=head.get("Version", ""),
        requires=tuple(" ".join(line.split()) for line in head.get_all("Requires-Dist", [])),
        requires_python=head.get("Requires-Python", ""),
    )


def _open(url: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """Open a URL that uv found (``file:`` where the user's index is a folder)."""
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310
    for wait in (*_WAITS, None):
        try:
            answer = urllib.request.urlopen(request, timeout=_SECONDS)  # noqa: S310
            break
        except urllib.error.URLError as error:
            if wait is None or isinstance(error, urllib.error.HTTPError):
                raise
            time.sleep(wait)
    return cast("http.client.HTTPResponse", answer)


def fetch(url: str) -> Metadata:
    """Return the metadata of the wheel at ``url``.

    It is the file that an index keeps beside the wheel (PEP 658). Where that is missing, HTTP ranges
    of the wheel are read, not the whole wheel. Raises ``NetworkError`` when both ways fail.
    """
    try:
        try:
            with _open(url + ".metadata") as answer:
                return parse(answer.read().decode())
        except urllib.error.HTTPError:
            with zipfile.ZipFile(io.BufferedReader(_Remote(url), _BLOCK)) as wheel:
                (path,) = (name for name in wheel.namelist() if _METADATA.fullmatch(name))
                return parse(wheel.read(path).decode())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise NetworkError(f"no metadata of {url}: {error}", remedy="try again") from None


class _Remote(io.RawIOBase):
    """A file on a server, downloaded in the ranges that are read."""

    def __init__(self, url: str) -> None:
        self._url, self._at = url, 0
        with _open(url, "HEAD") as answer:
            self._size = int(answer.headers["Content-Length"])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._at + len(view), self._size)
        if end <= self._at:
            return 0
        with _open(self._url, Range=f"bytes={self._at}-{end - 1}") as answer:
            if answer.status != _PARTIAL:
                raise OSError("the server does not support ranges")
            content = answer.read()
        view[: len(content)] = content
        self._at += len(content)
        return len(content)


def marker_environment(python: str) -> dict[str, str]:
    """Return the marker values of CPython ``python`` (``3.12`` or ``3.12.13``) on Linux x86-64."""
    minor = ".".join(python.split(".")[:2])
    full = python if python.count(".") > 1 else f"{python}.0"
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": minor,
        "sys_platform": "linux",
    }


@cache
def requirement(text: str) -> Requirement:
    """Parse a PEP 508 requirement; ``DataError`` when it is malformed."""
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise DataError(
            f"{text!r} is not a requirement: {error}", remedy="report it to that package"
        ) from None


def accepts(specifier: str, version: str) -> bool:
    """Return whether ``specifier`` (``>=1,<2``) allows ``version``, even a pre-release or local one."""
    return SpecifierSet(specifier).contains(version, prereleases=True)


def admits(one: Requirement, version: str) -> bool:
    """Return whether a requirement allows ``version``; an unknown one (``""``) is allowed."""
    return version == "" or one.specifier.contains(version, prereleases=True)


def unmet(
    held: Mapping[str, Metadata],
    environment: Mapping[str, str],
    *,
    of: Iterable[str] | None = None,
) -> list[Unmet]:
    """Return every requirement of the packages ``of`` (all by default) that ``held`` does not meet.

    ``held`` maps normalised names to metadata. An extra counts if a requirement names it.
    """
    todo = [(name, "") for name in (held if of is None else of)]
    seen = set(todo)
    found = set()
    while todo:
        name, extra = todo.pop()
        for one in map(requirement, held[name].requires):
            values = ({**environment, "extra": some} for some in {"", extra})
            if one.marker and not any(map(one.marker.evaluate, values)):
                continue
            needed = normalised(one.name)
            there = held.get(needed)
            if there is None or not admits(one, there.version):
                version = there.version if there else ""
                found.add(Unmet(package=name, requirement=str(one), needs=needed, found=version))
            new = {(needed, extra) for extra in one.extras if there is not None} - seen
            seen |= new
            todo += sorted(new)
    return sorted(found)
