"""Read the package freeze of a Colab release, from a file, or from its commit when online."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

from paperlora.environment.core import runtime
from paperlora.errors import InputError, NetworkError

PUBLISHED = "https://raw.githubusercontent.com/googlecolab/backend-info/{commit}/pip-freeze.gpu.txt"
_SECONDS = 30
_MOST_BYTES = 1_000_000


def read(source: str, *, published: str = PUBLISHED) -> dict[str, str]:
    """Return name → version of a freeze; ``source`` is a file, or a commit of Colab's backend-info.

    Raises ``InputError`` when it is neither, and ``NetworkError`` when the download fails.
    """
    try:
        commit = re.fullmatch(r"[0-9a-f]{40}", source)
        url = published.format(commit=source)
        text = _download(url) if commit else Path(source).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{source} is neither a file nor a commit", remedy="pass a freeze, or 40 hex digits"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is not text: {error}", remedy="pass a package freeze") from None
    packages = runtime.parse_freeze(text)
    if not packages:
        raise InputError(f"{source} lists no packages", remedy="pass the output of pip freeze")
    return packages


def _download(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - https, above
            return str(answer.read(_MOST_BYTES).decode())
    except (urllib.error.URLError, OSError, UnicodeDecodeError) as error:
        raise NetworkError(f"{url}: {error}", remedy="download it and pass the file") from None
