"""Judge the driver, torch, bitsandbytes and the GPUs by the facts that they report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperlora.environment.core.terminal import human

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from paperlora.environment.host.accelerator import Device, Facts

GOOD, NOTE, FINDING = "good", "note", "FINDING"
# The oldest driver for each CUDA generation: NVIDIA, "CUDA Compatibility", table 1.
_OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The GPU memory that training ``model`` needs with examples of ``max_length`` tokens."""

    model: str
    max_length: int
    gpu_bytes: int
    note: str = ""


@dataclass(frozen=True)
class Line:
    """The result of one look: ``state`` is good, note or FINDING."""

    subject: str
    state: str
    seen: str
    remedy: str = ""


def driver(facts: Facts, *, present: bool) -> Iterator[Line]:
    """Yield what the driver supports; ``present``: the kernel has an NVIDIA device."""
    if facts.driver_cuda is None:
        if present:
            remedy = "install the driver's libraries, or start the container with --gpus all"
            yield Line("driver", FINDING, "there is a GPU, but no libcuda", remedy)
        else:
            yield Line("driver", NOTE, "none", "training runs on the CPU")
        return
    seen = f"supports CUDA up to {_dotted(facts.driver_cuda)}"
    if facts.torch_cuda is None:
        yield Line("driver", GOOD, seen)
        return
    seen += f", torch is built for {_dotted(facts.torch_cuda)}"
    if facts.driver_cuda >= facts.torch_cuda:
        yield Line("driver", GOOD, seen)
    elif facts.driver_cuda[0] == facts.torch_cuda[0]:  # minor versions are compatible
        remedy = "this works, but kernels that are compiled at run time need a newer driver"
        yield Line("driver", NOTE, seen, remedy)
    else:
        oldest = _OLDEST_DRIVER.get(facts.torch_cuda[0])
        remedy = f"install driver {oldest} or newer" if oldest else "install a newer driver"
        yield Line("driver", FINDING, seen, remedy)


def libraries(facts: Facts) -> Iterator[Line]:
    """Yield the versions of torch and bitsandbytes, and whether they use the same CUDA version."""
    if facts.error:
        # The child imports torch first, so a later error is that of bitsandbytes.
        part = "bitsandbytes" if facts.torch else "torch"
        remedy = "run env/install.sh --target cuda; if that does not help, report this line"
        yield Line(part, FINDING, facts.error, remedy)
    if facts.torch:
        built = f"for CUDA {_dotted(facts.torch_cuda)}" if facts.torch_cuda else "for the CPU only"
        yield Line("torch", GOOD, f"{facts.torch}, built {built}")
    if facts.bitsandbytes is None:
        return
    library = facts.bitsandbytes_library or "no library"
    picked = re.search(r"cuda(\d\d)(\d+)", library)
    version = (int(picked[1]), int(picked[2])) if picked else None
    state, remedy = GOOD, ""
    if (facts.devices and version is None) or library == "no library":
        state, remedy = FINDING, "unset BNB_CUDA_VERSION and install the target again"
    elif version and facts.torch_cuda and version != facts.torch_cuda:
        state = NOTE if version[0] == facts.torch_cuda[0] else FINDING
        remedy = f"torch has CUDA {_dotted(facts.torch_cuda)}; unset BNB_CUDA_VERSION if it is set"
    yield Line("bitsandbytes", state, f"{facts.bitsandbytes}, loaded {library}", remedy)


def gpus(facts: Facts) -> Iterator[Line]:
    """Yield what each GPU is and can do."""
    if facts.driver_cuda and facts.torch and not facts.devices:
        remedy = "check CUDA_VISIBLE_DEVICES, and the driver with nvidia-smi"
        yield Line("GPU", FINDING, "torch finds none", remedy)
    for number, one in enumerate(facts.devices):
        subject = f"GPU {number}"
        seen = f"{one.name}, compute capability {_dotted(one.capability)}"
        able = runs(one.capability, facts.architectures)
        remedy = "" if able else f"torch has kernels for {', '.join(facts.architectures)} only"
        yield Line(subject, GOOD if able else FINDING, seen, remedy)
        if one.bf16:
            yield Line(subject, GOOD, "bf16 native")
        else:
            remedy = "emulated: correct but slow; GPUs from compute capability 8.0 have it"
            yield Line(subject, NOTE, "bf16 not native", remedy)
        seen = f"{human(one.free_bytes)} of {human(one.total_bytes)} free"
        taken = one.free_bytes < one.total_bytes / 2
        remedy = "nvidia-smi shows which processes use the rest" if taken else ""
        yield Line(subject, NOTE if taken else GOOD, seen, remedy)


def runs(capability: tuple[int, int], architectures: Iterable[str]) -> bool:
    """Return whether a GPU runs kernels built for ``architectures``.

    Machine code (``sm_80``) runs on GPUs of the same generation and the same or a later minor
    version. PTX (``compute_90``) is compiled for any later GPU (CUDA C++ Programming Guide, 3.1.3).
    """
    for one in architectures:
        kind, _, digits = one.partition("_")
        # "sm_90a" does not match: such code runs on exactly one architecture.
        if match := re.fullmatch(r"(\d+)(\d)", digits):
            built = (int(match[1]), int(match[2]))
            same = built[0] == capability[0]
            if built <= capability and (same or kind == "compute"):
                return True
    return False


def fitting(fits: Iterable[Fit], devices: Sequence[Device]) -> Iterator[tuple[Fit, str]]:
    """Yield, for each model and length, whether it fits on the GPU with the most free memory."""
    best = max(devices, key=lambda one: one.free_bytes, default=None)
    for fit in fits:
        if best is None:
            verdict = "no GPU"
        elif fit.gpu_bytes <= best.free_bytes:
            verdict = "fits"
        elif fit.gpu_bytes <= best.total_bytes:
            verdict = "fits once the GPU is free"
        else:
            verdict = "does not fit"
        yield fit, verdict


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
