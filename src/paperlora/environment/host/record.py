"""Make the environment record of a result: the interpreter's identity, and observations, never hashed."""

from __future__ import annotations

import platform
import shutil
import time
from pathlib import Path
from typing import Any

from paperlora import process
from paperlora.environment.core import lock as locks
from paperlora.environment.core import verify
from paperlora.files import ROOT, sha256_json

_GPU_SECONDS = 10


def observed() -> dict[str, Any]:
    """Return the facts of this machine that are not hashed; no host name and no user name."""
    gpu, driver = _gpu()
    release = {}
    if Path("/etc/os-release").exists():
        release = platform.freedesktop_os_release()
    return {
        "gpu": gpu,
        "driver": driver,
        "host": f"{release.get('PRETTY_NAME', platform.system())}, kernel {platform.release()}",
        "cpu": _cpu(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def make(target: str, *, root: Path = ROOT) -> dict[str, Any]:
    """Return the record of any environment; ``EnvironmentNotVerifiedError`` when the lock cannot be read."""
    findings = verify.findings(target, root=root)
    who = verify.identity(target, root=root)
    return {
        "target": target,
        "fingerprint": sha256_json(who),
        "lock_digest": locks.load(target, root=root).digest,
        "python": who["python"],
        "platform": who["platform"],
        "packages": {name: version for name, (version, _) in who["packages"].items()},
        "findings": [str(one) for one in findings],
        "verified": not findings,
        "observed": observed(),
    }


def _gpu() -> tuple[str | None, str | None]:
    """Return the GPUs' names and the driver's version, from nvidia-smi: importing torch is slow."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None, None
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = process.run(query, timeout=_GPU_SECONDS)
    rows = done.stdout.decode(errors="replace").splitlines()
    # nvidia-smi can exist without a driver; then it prints a message and fails.
    if done.code != 0 or not rows or "," not in rows[0]:
        return None, None
    names = [row.rpartition(",")[0].strip() for row in rows]
    return ", ".join(names), rows[0].rpartition(",")[2].strip()


def _cpu() -> str:
    # The standard library's platform.processor() is empty on many Linux systems.
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), ""
    )
