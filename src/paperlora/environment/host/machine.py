"""Host: what the machine itself offers, such as its C library, memory, disk and hub token."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from paperlora.environment.core.terminal import human
from paperlora.environment.host.diagnosis import FINDING, GOOD, NOTE, Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LITTLE_DISK = 2_000_000_000
"""Bytes under which checkpoints, an adapter and a report may not fit beside each other."""

_LITTLE_SHARED = 16_000_000
"""Bytes of /dev/shm under which locks between processes and pinned memory may be refused."""


def c_library(platform: str, seen: str | None = None) -> Line:
    """Return whether the C library is as new as the wheels of ``platform`` ask (PEP 600).

    ``x86_64-manylinux_2_28`` asks for glibc 2.28 or later; ``seen`` is as in ``glibc 2.36``.
    """
    wanted = re.search(r"manylinux_(\d+)_(\d+)", platform)
    seen = _glibc() if seen is None else seen
    found = re.search(r"glibc (\d+)\.(\d+)", seen)
    if wanted is None or (found and _pair(found) >= _pair(wanted)):
        return Line(subject="C library", state=GOOD, seen=seen)
    remedy = f"use a system with glibc {wanted[1]}.{wanted[2]} or later, or the image"
    return Line(subject="C library", state=FINDING, seen=seen or "not glibc", remedy=remedy)


def compiler() -> Line:
    """Return whether kernels can be compiled at run time, for which Triton needs C and Python.h."""
    missing = []
    if not any(shutil.which(name) for name in ("gcc", "clang")):
        missing.append("gcc")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        missing.append("Python's headers")
    if not missing:
        return Line(subject="compiler", state=GOOD, seen="gcc or clang, and Python's headers")
    seen = f"no {' and no '.join(missing)}"
    remedy = "install them (apt-get install gcc python3-dev); without, training is slower"
    return Line(subject="compiler", state=NOTE, seen=seen, remedy=remedy)


def room(places: Iterable[Path]) -> Iterator[Line]:
    """Yield free memory, and free disk at ``places``."""
    if (free := _free_memory()) is not None:
        yield Line(subject="memory", state=GOOD, seen=f"{human(free)} available")
    seen: set[int] = set()
    for place in places:
        there = next(parent for parent in (place, *place.parents) if parent.exists())
        if (device := there.stat().st_dev) in seen:
            continue
        seen.add(device)
        left = shutil.disk_usage(there).free
        short = left < _LITTLE_DISK
        remedy = "make room, or point PAPERLORA_RUNS at another disk" if short else ""
        state = FINDING if short else GOOD
        yield Line(
            subject="disk", state=state, seen=f"{human(left)} free at {there}", remedy=remedy
        )


def shared_memory(place: Path = Path("/dev/shm")) -> Line:  # noqa: S108 - where the kernel has it
    """Return whether there is shared memory, of which a container gets 64 MB unless told otherwise."""
    free = shutil.disk_usage(place).free if os.access(place, os.W_OK) else 0
    state, remedy = GOOD, ""
    if free < _LITTLE_SHARED:
        state, remedy = FINDING, "give the container more: docker run --shm-size 64m"
    return Line(subject="shared memory", state=state, seen=f"{human(free)} free", remedy=remedy)


def token() -> Line:
    """Return where a hub token was found."""
    source = token_source()
    remedy = "" if source else "only gated models (Gemma) need one: set HF_TOKEN"
    state = GOOD if source else NOTE
    return Line(subject="hub token", state=state, seen=source or "none", remedy=remedy)


def token_source(home: Path | None = None) -> str:
    """Return where the hub's own library would find a token, never the token."""
    if os.environ.get("HF_TOKEN", "").strip():
        return "in HF_TOKEN"
    base = Path(os.environ.get("HF_HOME") or (home or Path.home()) / ".cache/huggingface")
    path = Path(os.environ.get("HF_TOKEN_PATH") or base / "token")
    return f"in {path}" if path.is_file() and path.read_bytes().strip() else ""


def _glibc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""


def _pair(version: re.Match[str]) -> tuple[int, int]:
    return int(version[1]), int(version[2])


def _free_memory() -> int | None:
    """Return the bytes that a new program may use: the least of the kernel's and the cgroup's."""
    try:
        said = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s*(\d+) kB", said)
    free = [int(found[1]) * 1024] if found else []
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text(encoding="utf-8").strip()
        used = (group / "memory.current").read_text(encoding="utf-8").strip()
        free += [int(most) - int(used)] if most != "max" else []
    except (OSError, ValueError):
        pass
    return min(free, default=None)
