"""The facts of a machine without faults, its GPU, and a small old GPU."""

from __future__ import annotations

from paperlora.environment.host.accelerator import Device, Facts

H100 = Device(
    name="NVIDIA H100", capability=(9, 0), bf16=True, free_bytes=80 * 10**9, total_bytes=85 * 10**9
)
T4 = Device(
    name="Tesla T4", capability=(7, 5), bf16=False, free_bytes=15 * 10**9, total_bytes=16 * 10**9
)
SOUND = Facts(
    driver_cuda=(12, 8),
    torch="2.10.0",
    torch_cuda=(12, 8),
    architectures=("sm_75", "sm_80", "sm_90"),
    devices=(H100,),
    bitsandbytes="0.50.2",
    bitsandbytes_library="libbitsandbytes_cuda128.so",
)
