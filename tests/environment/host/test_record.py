from __future__ import annotations

import json
import platform
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from paperlora import process
from paperlora.environment.host import record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FACTS = {
    "target",
    "fingerprint",
    "lock_digest",
    "python",
    "platform",
    "packages",
    "findings",
    "verified",
    "observed",
}


@pytest.fixture(autouse=True)
def _only_the_site(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(site)])


def test_holds_what_a_run_stores(locked: Path) -> None:
    made = record.make("cuda", root=locked)
    assert set(made) == FACTS
    assert made["packages"] == {"alpha": "1.0", "beta": "2.0", "gamma": "3.0"}
    assert made["python"] == platform.python_version()
    assert (made["verified"], made["findings"]) == (True, [])
    assert set(made["observed"]) == {"gpu", "driver", "host", "cpu", "time"}


def test_no_host_name_is_kept(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "babbage-of-the-lab")
    assert "babbage" not in json.dumps(record.make("cuda", root=locked))


def test_the_record_of_an_unverified_environment_has_its_findings(locked: Path, site: Path) -> None:
    (site / "omega-9.dist-info").mkdir()
    made = record.make("cuda", root=locked)
    assert made["verified"] is False
    assert len(made["findings"]) == 1
    assert "omega" in made["findings"][0]


def test_the_gpu_comes_from_the_driver_s_tool(
    locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = record.make("cuda", root=locked)["fingerprint"]
    output = b"NVIDIA A, 570.1\nNVIDIA B, 570.1\n"

    def run(command: Sequence[str], **_: object) -> process.Finished:
        assert command[0] == "/x/nvidia-smi"
        return process.Finished(code=0, stdout=output, stderr="", timed_out=False)

    monkeypatch.setattr(shutil, "which", lambda name: f"/x/{name}")
    monkeypatch.setattr(process, "run", run)
    made = record.make("cuda", root=locked)
    assert made["observed"]["gpu"] == "NVIDIA A, NVIDIA B"
    assert made["observed"]["driver"] == "570.1"
    assert made["fingerprint"] == before


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert record.observed()["gpu"] is None
