from __future__ import annotations

from dataclasses import replace

import pytest
from machines import H100, SOUND, T4

from paperlora.environment.host import diagnosis
from paperlora.environment.host.accelerator import Facts
from paperlora.environment.host.diagnosis import FINDING, GOOD, NOTE, Fit


def states(facts: Facts) -> list[str]:
    lines = [
        *diagnosis.driver(facts, present=True),
        *diagnosis.libraries(facts),
        *diagnosis.gpus(facts),
    ]
    assert all(line.remedy for line in lines if line.state != GOOD)
    return [line.state for line in lines]


def test_a_machine_without_faults_has_no_findings() -> None:
    assert set(states(SOUND)) == {GOOD}


@pytest.mark.parametrize(
    ("has", "state", "remedy"),
    [
        ((12, 8), GOOD, ""),
        ((13, 0), GOOD, ""),
        ((12, 2), NOTE, "newer driver"),
        ((11, 8), FINDING, "install driver 525 or newer"),
    ],
)
def test_driver_against_cuda(has: tuple[int, int], state: str, remedy: str) -> None:
    (line,) = diagnosis.driver(replace(SOUND, driver_cuda=has), present=True)
    assert line.state == state
    assert remedy in line.remedy
    assert f"up to {has[0]}.{has[1]}, torch is built for 12.8" in line.seen


def test_a_missing_driver_is_a_finding_only_where_there_is_a_gpu() -> None:
    none = Facts()
    (line,) = diagnosis.driver(none, present=False)
    assert (line.state, line.seen) == (NOTE, "none")
    (line,) = diagnosis.driver(none, present=True)
    assert line.state == FINDING
    assert "--gpus all" in line.remedy


@pytest.mark.parametrize(
    ("library", "state"),
    [
        ("libbitsandbytes_cuda128.so", GOOD),
        ("libbitsandbytes_cuda126.so", NOTE),
        ("libbitsandbytes_cuda130.so", FINDING),
        ("libbitsandbytes_cpu.so", FINDING),
        (None, FINDING),
    ],
)
def test_bitsandbytes_library_against_torch(library: str | None, state: str) -> None:
    lines = list(diagnosis.libraries(replace(SOUND, bitsandbytes_library=library)))
    assert [line.state for line in lines if line.subject == "bitsandbytes"] == [state]


def test_the_cpu_library_is_right_without_a_gpu() -> None:
    facts = replace(SOUND, devices=(), bitsandbytes_library="libbitsandbytes_cpu.so")
    assert [line.state for line in diagnosis.libraries(facts)] == [GOOD, GOOD]


def test_a_library_that_fails_is_named() -> None:
    (line,) = diagnosis.libraries(Facts(error="ModuleNotFoundError: No module named 'torch'"))
    assert (line.subject, line.state) == ("torch", FINDING)
    facts = Facts(torch="2", error="OSError: libnvJitLink.so.12")
    assert next(diagnosis.libraries(facts)).subject == "bitsandbytes"


def test_a_t4_has_no_native_bf16() -> None:
    lines = list(diagnosis.gpus(replace(SOUND, devices=(T4,))))
    assert [line.state for line in lines] == [GOOD, NOTE, GOOD]
    assert "not native" in lines[1].seen


def test_a_gpu_without_kernels_in_torch_is_a_finding() -> None:
    old = replace(T4, name="Tesla P100", capability=(6, 0))
    assert next(diagnosis.gpus(replace(SOUND, devices=(old,)))).state == FINDING


def test_a_gpu_that_torch_does_not_see_is_a_finding() -> None:
    (line,) = diagnosis.gpus(replace(SOUND, devices=()))
    assert line.state == FINDING
    assert list(diagnosis.gpus(Facts(torch="2.10.0"))) == []


def test_memory_that_others_hold_is_noted() -> None:
    lines = list(diagnosis.gpus(replace(SOUND, devices=(replace(H100, free_bytes=10**9),))))
    assert lines[-1].state == NOTE
    assert "1.0 GB of 85.0 GB free" in lines[-1].seen


@pytest.mark.parametrize(
    ("capability", "architectures", "able"),
    [
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_80"], False),
        ((9, 0), ["compute_80"], True),
        ((12, 0), ["sm_75", "sm_120"], True),
        ((12, 1), ["sm_90", "compute_120"], True),
        ((7, 5), [], False),
        ((9, 0), ["sm_90a"], False),
    ],
)
def test_which_kernels_run_where(
    capability: tuple[int, int],
    architectures: list[str],
    able: bool,  # noqa: FBT001 - a value of the table
) -> None:
    assert diagnosis.runs(capability, architectures) is able


def test_what_fits() -> None:
    fits = [
        Fit(model="small", max_length=512, gpu_bytes=10**9),
        Fit(model="large", max_length=1024, gpu_bytes=83 * 10**9),
        Fit(model="huge", max_length=1024, gpu_bytes=10**12),
    ]
    verdicts = [verdict for _, verdict in diagnosis.fitting(fits, [T4, H100])]
    assert verdicts == ["fits", "fits once the GPU is free", "does not fit"]
    assert next(diagnosis.fitting(fits[:1], []))[1] == "no GPU"
