from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from paperlora import process
from paperlora.environment.host import accelerator

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DEVICE = (
    '{"devices": [{"name": "A", "capability": [9, 0], "bf16": true, "free_bytes": 1, '
    '"total_bytes": 2}]}'
)


def interpreter(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_facts_from_before_a_crash_are_kept(tmp_path: Path) -> None:
    script = f"""echo '{{"driver_cuda": [12, 8]}}'
echo 'a warning on stdout'
echo '{{"torch": "2.10.0", "torch_cuda": [12, 8], "architectures": ["sm_90"]}}'
echo '{DEVICE}'
echo 'Traceback' >&2
echo 'OSError: libnccl.so.2' >&2
exit 1"""
    facts = accelerator.collect(interpreter(tmp_path / "python", script))
    assert (facts.driver_cuda, facts.torch, facts.torch_cuda) == ((12, 8), "2.10.0", (12, 8))
    assert facts.devices[0].capability == (9, 0)
    assert facts.error == "OSError: libnccl.so.2"
    assert facts.bitsandbytes is None


def test_a_crash_without_a_message_is_reported(tmp_path: Path) -> None:
    assert accelerator.collect(interpreter(tmp_path / "python", "exit 7")).error == "exit code 7"


def test_a_child_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "_SECONDS", 0.2)
    facts = accelerator.collect(interpreter(tmp_path / "python", "exec sleep 20"))
    assert facts.error == "no answer within 0.2 s"


def test_an_interpreter_without_torch_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    run = process.run

    def bare(command: list[str], **options: object) -> process.Finished:
        return run([command[0], "-S", *command[1:]], **options)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "run", bare)
    facts = accelerator.collect(sys.executable)
    assert facts.error == "ModuleNotFoundError: No module named 'torch'"


def test_this_interpreter_has_torch_and_bitsandbytes() -> None:
    facts = accelerator.collect()
    import torch

    assert facts.torch == torch.__version__
    assert facts.error == ""
    assert facts.bitsandbytes_library is not None
    assert facts.bitsandbytes_library.startswith("libbitsandbytes_")
