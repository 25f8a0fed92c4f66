"""Identity: what makes two environments the same one, and the fingerprint over it.

It covers the target, Python, the platform, and each package with its version and locked files, so
two machines that hold the same environment agree on it. GPU, driver, host and time are no part.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from paperlora.environment.core import installed
from paperlora.environment.core import lock as locks
from paperlora.files import ROOT, sha256_json

if TYPE_CHECKING:
    from pathlib import Path


def machine() -> str:
    """Return the platform as locks name it, such as ``linux-x86_64``."""
    return f"{platform.system().lower()}-{platform.machine().lower()}"


def of(target: str, *, root: Path = ROOT) -> dict[str, Any]:
    """Return what the fingerprint covers; a package outside the lock has the hash ``""``."""
    lock = locks.load(target, root=root)
    python = platform.python_version()
    pins = lock.packages(python.rpartition(".")[0])
    packages = {}
    for one in installed.distributions():
        pin = pins.get(one.name)
        locked = locks.hash_of(pin[1]) if pin and pin[1].version == one.version else ""
        packages[one.name] = [one.version, locked]
    return {"target": target, "python": python, "platform": machine(), "packages": packages}


def fingerprint(who: dict[str, Any]) -> str:
    """Return the SHA-256 of an identity, in hex."""
    return sha256_json(who)
