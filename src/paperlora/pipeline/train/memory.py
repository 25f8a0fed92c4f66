"""Measures the memory of this process, on the host and on the GPU, in bytes."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import torch

_STATUS = Path("/proc/self/status")


def now() -> dict[str, int | None]:
    """Return the memory in use; GPU figures, those of torch's allocator, are None without CUDA."""
    gpu = torch.cuda.is_available()
    return {
        "host_bytes": psutil.Process().memory_info().rss,
        "gpu_allocated_bytes": torch.cuda.memory_allocated() if gpu else None,
        "gpu_reserved_bytes": torch.cuda.memory_reserved() if gpu else None,
    }


def peak() -> dict[str, int | None]:
    """Return the most memory in use since the process started, with the keys of ``now``."""
    gpu = torch.cuda.is_available()
    # VmHWM of proc(5). Not getrusage's ru_maxrss, which a process inherits from its parent.
    found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return {
        "host_bytes": int(found.group(1)) * 1024 if found else 0,
        "gpu_allocated_bytes": torch.cuda.max_memory_allocated() if gpu else None,
        "gpu_reserved_bytes": torch.cuda.max_memory_reserved() if gpu else None,
    }
