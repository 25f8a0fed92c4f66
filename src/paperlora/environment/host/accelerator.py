"""Collect what the driver, torch and bitsandbytes report, in a child process.

``python -m paperlora.environment.host.accelerator`` prints one JSON object per line, each as soon as
it is available. So when a library crashes on import, only its own facts are lost.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paperlora import process
from paperlora.files import ROOT

_SECONDS = 180  # the first import of torch from a slow disk can take minutes


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU as torch sees it; ``bf16`` means native support, not emulation."""

    name: str
    capability: tuple[int, int]
    bf16: bool
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the child found; ``None`` where it found nothing, ``error`` is what stopped it.

    ``driver_cuda`` is the newest CUDA version that the driver supports, ``torch_cuda`` the version
    that torch is built for, ``architectures`` the GPUs that torch has kernels for (``sm_80``).
    """

    driver_cuda: tuple[int, int] | None = None
    torch: str | None = None
    torch_cuda: tuple[int, int] | None = None
    architectures: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    bitsandbytes: str | None = None
    bitsandbytes_library: str | None = None
    error: str = ""


def collect(python: str = sys.executable) -> Facts:
    """Return what a new process of ``python`` finds; no driver or library has to be there."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [python, "-m", "paperlora.environment.host.accelerator"]
    done = process.run(command, timeout=_SECONDS, environment=environment)
    found: dict[str, Any] = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        if line.startswith("{"):  # libraries print warnings between the facts
            found |= json.loads(line)
    if done.timed_out:
        found["error"] = f"no answer within {_SECONDS} s"
    elif done.code != 0:
        found["error"] = (done.stderr.strip().splitlines() or [f"exit code {done.code}"])[-1]
    rows = found.pop("devices", ())
    found = {
        key: tuple(value) if isinstance(value, list) else value for key, value in found.items()
    }
    devices = (Device(**{**row, "capability": tuple(row["capability"])}) for row in rows)
    return Facts(**found, devices=tuple(devices))


def driver_cuda() -> tuple[int, int] | None:
    """Return the newest CUDA version that the driver supports, such as (12, 8)."""
    number = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number))
    except (OSError, AttributeError):
        return None
    return (number.value // 1000, number.value % 1000 // 10) if number.value else None


def _print(**facts: object) -> None:
    print(json.dumps(facts), flush=True)  # flushed, because the next import may crash


def main() -> None:
    """Print the facts one after the other, each as soon as it is available."""
    _print(driver_cuda=driver_cuda())
    import torch  # noqa: PLC0415

    built_for = torch.version.cuda
    _print(
        torch=torch.__version__,
        torch_cuda=[int(part) for part in built_for.split(".")[:2]] if built_for else None,
        architectures=torch.cuda.get_arch_list(),
    )
    devices = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        with torch.cuda.device(index):
            free, total = torch.cuda.mem_get_info()
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        device = Device(
            name=properties.name,
            capability=(properties.major, properties.minor),
            bf16=bf16,
            free_bytes=free,
            total_bytes=total,
        )
        devices.append(asdict(device))
    _print(devices=devices)
    import bitsandbytes  # noqa: PLC0415
    from bitsandbytes import cextension  # noqa: PLC0415

    library = getattr(getattr(cextension.lib, "_lib", None), "_name", None)
    _print(
        bitsandbytes=bitsandbytes.__version__,
        bitsandbytes_library=Path(library).name if library else None,
    )


if __name__ == "__main__":
    main()
