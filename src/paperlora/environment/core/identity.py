"""Identify an environment by its content, and compute the fingerprint of that.

The content is the target, Python, the platform, and each package with its version and locked files,
so it is the same on two machines with the same environment. GPU, driver, host and time do not count.
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
    """Return the platform in the form that locks use, such as ``linux-x86_64``."""
    return f"{platform.system().lower()}-{platform.machine().lower()}"


def of(target: str, *, root: Path = ROOT) -> dict[str, Any]:
    """Return the content that the fingerprint covers; a package outside the lock has the hash ``""``."""
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
    """Return the SHA-256 of what ``of`` returns, in hex."""
    return sha256_json(who)
