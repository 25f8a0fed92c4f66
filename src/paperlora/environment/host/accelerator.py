"""Accelerator: what the driver, torch and bitsandbytes say, asked in a child process.

``python -m paperlora.environment.host.accelerator`` prints one JSON object a line as it learns it, so
that a library that crashes on import takes nothing with it but its own answer.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paperlora import process
from paperlora.files import ROOT

_SECONDS = 180


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU as torch sees it; ``bf16`` is native support, not emulation."""

    name: str
    capability: tuple[int, int]
    bf16: bool
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the child learned; ``None`` where it could not say, ``error`` is what ended it.

    ``driver_cuda`` is the newest CUDA that the driver supports, ``torch_cuda`` the one that torch
    was built for, ``architectures`` what its kernels were compiled for (``sm_80``).
    """

    driver_cuda: tuple[int, int] | None = None
    torch: str | None = None
    torch_cuda: tuple[int, int] | None = None
    architectures: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    bitsandbytes: str | None = None
    bitsandbytes_library: str | None = None
    error: str = ""


def ask(python: str = sys.executable) -> Answer:
    """Return what a fresh ``python`` says; it may lack a driver, torch, or anything else."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [python, "-m", "paperlora.environment.host.accelerator"]
    done = process.run(command, timeout=_SECONDS, environment=environment)
    said: dict[str, Any] = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        if line.startswith("{"):
            said |= json.loads(line)
    if done.timed_out:
        said["error"] = f"no answer within {_SECONDS} s"
    elif done.code != 0:
        said["error"] = (done.stderr.strip().splitlines() or [f"exit code {done.code}"])[-1]
    return _answer(said)


def _answer(said: dict[str, Any]) -> Answer:
    for key in ("driver_cuda", "torch_cuda"):
        said[key] = tuple(said[key]) if said.get(key) else None
    said["architectures"] = tuple(said.get("architectures", ()))
    said["devices"] = tuple(
        Device(**{**row, "capability": tuple(row["capability"])}) for row in said.get("devices", ())
    )
    return Answer(**said)


def _say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def driver_cuda() -> tuple[int, int] | None:
    """Return the newest CUDA version that the driver supports, such as (12, 8)."""
    number = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number))
    except (OSError, AttributeError):
        return None
    return (number.value // 1000, number.value % 1000 // 10) if number.value else None


def main() -> None:
    """Say one thing after the other, each as soon as it is known."""
    _say(driver_cuda=driver_cuda())
    import torch  # noqa: PLC0415

    built_for = torch.version.cuda
    _say(
        torch=torch.__version__,
        torch_cuda=[int(part) for part in built_for.split(".")[:2]] if built_for else None,
        architectures=torch.cuda.get_arch_list(),
    )
    devices = []
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        with torch.cuda.device(index):
            free, total = torch.cuda.mem_get_info()
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        devices.append(
            {
                "name": about.name,
                "capability": [about.major, about.minor],
                "bf16": bf16,
                "free_bytes": free,
                "total_bytes": total,
            }
        )
    _say(devices=devices)
    import bitsandbytes  # noqa: PLC0415
    from bitsandbytes import cextension  # noqa: PLC0415

    library = getattr(getattr(cextension.lib, "_lib", None), "_name", None)
    _say(
        bitsandbytes=bitsandbytes.__version__,
        bitsandbytes_library=Path(library).name if library else None,
    )


if __name__ == "__main__":
    main()
