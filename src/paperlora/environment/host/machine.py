"""Examine what the machine itself offers: C library, compiler, memory, disk and hub token."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from paperlora.environment.core.terminal import human
from paperlora.environment.host.diagnosis import FINDING, GOOD, NOTE, Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LITTLE_DISK = 2_000_000_000
"""Bytes; with less, checkpoints, an adapter and a report may not fit at the same time."""

_LITTLE_SHARED = 16_000_000
"""Bytes of /dev/shm; with less, locks between processes and pinned memory may fail."""


def c_library(wheels: str, seen: tuple[str, str] | None = None) -> Line:
    """Return whether the C library is as new as the platform of the ``wheels`` requires (PEP 600).

    ``x86_64-manylinux_2_28`` requires glibc 2.28 or later; ``seen`` is as in ``("glibc", "2.36")``.
    """
    name, version = platform.libc_ver() if seen is None else seen
    found = f"{name} {version}".strip()
    wanted = re.search(r"manylinux_(\d+_\d+)", wheels)
    if wanted is None or (name == "glibc" and _numbers(version) >= _numbers(wanted[1])):
        return Line("C library", GOOD, found)
    remedy = f"use a system with glibc {wanted[1].replace('_', '.')} or later, or the image"
    return Line("C library", FINDING, found or "not glibc", remedy)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def compiler() -> Line:
    """Return whether Triton can compile kernels at run time: it needs a C compiler and Python.h."""
    missing = []
    if not any(shutil.which(name) for name in ("gcc", "clang")):
        missing.append("gcc")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        missing.append("Python's headers")
    if not missing:
        return Line("compiler", GOOD, "gcc or clang, and Python's headers")
    remedy = "install them (apt-get install gcc python3-dev); training is slower without them"
    return Line("compiler", NOTE, f"no {' and no '.join(missing)}", remedy)


def room(places: Iterable[Path]) -> Iterator[Line]:
    """Yield the free memory, and the free disk space at ``places``, once per file system."""
    if (free := free_memory()) is not None:
        yield Line("memory", GOOD, f"{human(free)} available")
    seen: set[int] = set()
    for place in places:
        there = next(parent for parent in (place, *place.parents) if parent.exists())
        if (device := there.stat().st_dev) in seen:
            continue
        seen.add(device)
        left = shutil.disk_usage(there).free
        short = left < _LITTLE_DISK
        remedy = "make room, or set PAPERLORA_RUNS to a folder on another disk" if short else ""
        yield Line("disk", FINDING if short else GOOD, f"{human(left)} free at {there}", remedy)


def shared_memory(place: Path = Path("/dev/shm")) -> Line:  # noqa: S108 - where the kernel has it
    """Return whether there is enough shared memory; a container gets 64 MB by default."""
    free = shutil.disk_usage(place).free if os.access(place, os.W_OK) else 0
    short = free < _LITTLE_SHARED
    remedy = "give the container more: docker run --shm-size 64m" if short else ""
    return Line("shared memory", FINDING if short else GOOD, f"{human(free)} free", remedy)


def token() -> Line:
    """Return where the hub's own library would find a token; never the token itself."""
    if os.environ.get("HF_TOKEN", "").strip():
        return Line("hub token", GOOD, "in HF_TOKEN")
    base = Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface")
    path = Path(os.environ.get("HF_TOKEN_PATH") or base / "token")
    if path.is_file() and path.read_bytes().strip():
        return Line("hub token", GOOD, f"in {path}")
    return Line("hub token", NOTE, "none", "only gated models (Gemma) need one: set HF_TOKEN")


def free_memory() -> int | None:
    """Return the bytes that a new program may use: the smaller of the kernel's and the cgroup's."""
    try:
        status = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s*(\d+) kB", status)
    free = [int(found[1]) * 1024] if found else []
    group = Path("/sys/fs/cgroup")
    # "max" is not a number: without a limit, the kernel's number holds.
    with suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text(encoding="utf-8"))
        free.append(limit - int((group / "memory.current").read_text(encoding="utf-8")))
    return min(free, default=None)
