"""Diagnosis: judges what the driver, torch, bitsandbytes and the GPUs said of themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from paperlora.environment.core.terminal import human

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from paperlora.environment.host.accelerator import Answer, Device

GOOD, NOTE, FINDING = "good", "note", "FINDING"
# The oldest driver for each CUDA generation: NVIDIA, "CUDA Compatibility", table 1.
_OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}


class Fit(Protocol):
    """What training ``model`` with examples of ``max_length`` tokens needs on the GPU."""

    @property
    def model(self) -> str: ...  # noqa: D102

    @property
    def max_length(self) -> int: ...  # noqa: D102

    @property
    def gpu_bytes(self) -> int: ...  # noqa: D102

    @property
    def note(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that was looked at: ``state`` is good, note or FINDING."""

    subject: str
    state: str
    seen: str
    remedy: str = ""


def driver(said: Answer, present: bool) -> Iterator[Line]:  # noqa: FBT001 - two facts
    """Yield what the driver allows; ``present`` says that the kernel has an NVIDIA device."""
    if said.driver_cuda is None:
        if present:
            remedy = "install the driver's libraries, or start the container with --gpus all"
            yield Line(subject="driver", state=FINDING, seen="GPU there, no libcuda", remedy=remedy)
        else:
            yield Line(subject="driver", state=NOTE, seen="none", remedy="the CPU will be used")
        return
    has = _dotted(said.driver_cuda)
    if said.torch_cuda is None:
        yield Line(subject="driver", state=GOOD, seen=f"supports CUDA up to {has}")
        return
    seen = f"supports CUDA up to {has}, torch is built for {_dotted(said.torch_cuda)}"
    if said.driver_cuda >= said.torch_cuda:
        yield Line(subject="driver", state=GOOD, seen=seen)
    elif said.driver_cuda[0] == said.torch_cuda[0]:
        remedy = "works; kernels that are compiled at run time want a newer driver"
        yield Line(subject="driver", state=NOTE, seen=seen, remedy=remedy)
    else:
        oldest = _OLDEST_DRIVER.get(said.torch_cuda[0])
        remedy = f"install driver {oldest} or newer" if oldest else "install a newer driver"
        yield Line(subject="driver", state=FINDING, seen=seen, remedy=remedy)


def libraries(said: Answer) -> Iterator[Line]:
    """Yield what torch and bitsandbytes are, and whether they agree on CUDA."""
    if said.error:
        part = "bitsandbytes" if said.torch else "torch"
        remedy = "env/install.sh --target cuda; if that is done, report this line"
        yield Line(subject=part, state=FINDING, seen=said.error, remedy=remedy)
    if said.torch:
        built = f"for CUDA {_dotted(said.torch_cuda)}" if said.torch_cuda else "for the CPU only"
        yield Line(subject="torch", state=GOOD, seen=f"{said.torch}, built {built}")
    if said.bitsandbytes is None:
        return
    library = said.bitsandbytes_library or "no library"
    seen = f"{said.bitsandbytes}, picked {library}"
    picked = re.search(r"cuda(\d\d)(\d+)", library)
    version = (int(picked[1]), int(picked[2])) if picked else None
    state, remedy = GOOD, ""
    if (said.devices and version is None) or library == "no library":
        remedy = "unset BNB_CUDA_VERSION and install the target again"
        state = FINDING
    elif version and said.torch_cuda and version != said.torch_cuda:
        state = NOTE if version[0] == said.torch_cuda[0] else FINDING
        remedy = f"torch has CUDA {_dotted(said.torch_cuda)}; unset BNB_CUDA_VERSION if it is set"
    yield Line(subject="bitsandbytes", state=state, seen=seen, remedy=remedy)


def gpus(said: Answer) -> Iterator[Line]:
    """Yield what each GPU is and can do."""
    if said.driver_cuda and said.torch and not said.devices:
        remedy = "look at CUDA_VISIBLE_DEVICES, and at the driver with nvidia-smi"
        yield Line(subject="GPU", state=FINDING, seen="torch sees none", remedy=remedy)
    for number, one in enumerate(said.devices):
        subject = f"GPU {number}"
        seen = f"{one.name}, compute capability {_dotted(one.capability)}"
        able = runs(one.capability, said.architectures)
        remedy = "" if able else f"torch has kernels for {', '.join(said.architectures)}"
        yield Line(subject=subject, state=GOOD if able else FINDING, seen=seen, remedy=remedy)
        remedy = "" if one.bf16 else "emulated: right, and slow; a card from 8.0 on has it"
        seen = f"bf16 {'native' if one.bf16 else 'not native'}"
        yield Line(subject=subject, state=GOOD if one.bf16 else NOTE, seen=seen, remedy=remedy)
        taken = one.free_bytes < one.total_bytes / 2
        seen = f"{human(one.free_bytes)} of {human(one.total_bytes)} free"
        remedy = "nvidia-smi shows who holds the rest" if taken else ""
        yield Line(subject=subject, state=NOTE if taken else GOOD, seen=seen, remedy=remedy)


def runs(capability: tuple[int, int], architectures: Iterable[str]) -> bool:
    """Say whether a GPU runs kernels built for ``architectures``.

    Machine code (``sm_80``) runs on its own generation from its own minor version on; what is kept
    as PTX (``compute_90``) is compiled for any later one (CUDA C++ Programming Guide, 3.1.3).
    """
    for one in architectures:
        kind, _, digits = one.partition("_")
        if match := re.fullmatch(r"(\d+)(\d)", digits):
            built = (int(match[1]), int(match[2]))
            same = built[0] == capability[0]
            if built <= capability and (same or kind == "compute"):
                return True
    return False


def fitting(fits: Iterable[Fit], devices: Sequence[Device]) -> list[tuple[Fit, str]]:
    """Return, for each model and length, whether it fits the GPU with the most free memory."""
    best = max(devices, key=lambda one: one.free_bytes, default=None)
    verdicts = []
    for fit in fits:
        if best is None:
            verdict = "no GPU"
        elif fit.gpu_bytes <= best.free_bytes:
            verdict = "fits"
        elif fit.gpu_bytes <= best.total_bytes:
            verdict = "fits once the GPU is free"
        else:
            verdict = "does not fit"
        verdicts.append((fit, verdict))
    return verdicts


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
