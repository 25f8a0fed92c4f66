"""What memory this process holds, on the host and on the GPU, in bytes."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import torch

_STATUS = Path("/proc/self/status")


def now() -> dict[str, int | None]:
    """Return the memory held at this moment; GPU figures are None without CUDA."""
    gpu = torch.cuda.is_available()
    return {
        "host_bytes": psutil.Process().memory_info().rss,
        "gpu_allocated_bytes": torch.cuda.memory_allocated() if gpu else None,
        "gpu_reserved_bytes": torch.cuda.memory_reserved() if gpu else None,
    }


def peak() -> dict[str, int | None]:
    """Return the most that was held since the process started."""
    gpu = torch.cuda.is_available()
    return {
        "host_bytes": _peak_resident(),
        "gpu_allocated_bytes": torch.cuda.max_memory_allocated() if gpu else None,
        "gpu_reserved_bytes": torch.cuda.max_memory_reserved() if gpu else None,
    }


def _peak_resident() -> int:
    """Return the most host memory held by this process: proc(5), VmHWM.

    Not getrusage's ru_maxrss, which a process inherits from the one that started it.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
