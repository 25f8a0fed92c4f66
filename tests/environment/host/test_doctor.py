from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from collections import namedtuple
from typing import TYPE_CHECKING

import pytest
from machines import SOUND

from paperlora.environment.host import accelerator, doctor
from paperlora.environment.host.accelerator import Facts
from paperlora.environment.host.diagnosis import Fit
from paperlora.errors import EnvironmentNotVerifiedError, FindingsError

if TYPE_CHECKING:
    from pathlib import Path

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil's


@pytest.fixture(autouse=True)
def _only_the_site(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sysconfig.get_paths()  # it reads a file of the standard library, once
    monkeypatch.setattr(sys, "path", [str(site)])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 10**12))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")


def examine(root: Path, facts: Facts = SOUND, **options: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerator, "collect", lambda: facts)
        doctor.run("cuda", root=root, **options)  # type: ignore[arg-type]


def test_a_machine_without_faults(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examine(
        locked, fits=[Fit(model="gemma", max_length=1024, gpu_bytes=5 * 10**9, note="in 4 bits")]
    )
    out = capsys.readouterr().out
    assert "as locked for cuda" in out
    assert "gemma  1024 tokens  5.0 GB  fits  in 4 bits" in out
    assert "hf_secret" not in out
    assert "\x1b" not in out


def test_a_missing_gpu_and_driver_are_not_an_error(locked: Path) -> None:
    examine(locked, Facts(torch="2.10.0", torch_cuda=(12, 8)))


def test_an_environment_that_differs_is_code_3(locked: Path, site: Path) -> None:
    (site / "omega-9.dist-info").mkdir()
    with pytest.raises(EnvironmentNotVerifiedError, match="1 finding: omega"):
        examine(locked)


def test_a_lock_that_cannot_be_read_is_code_3(locked: Path) -> None:
    (locked / "lockfiles/cuda/lock.json").unlink()
    with pytest.raises(EnvironmentNotVerifiedError, match="1 finding: lock"):
        examine(locked)


def test_json_has_the_findings_and_what_fits(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fits = [Fit(model="gemma", max_length=1024, gpu_bytes=5 * 10**9)]
    with pytest.raises(FindingsError, match="2 findings: bitsandbytes, GPU") as caught:
        examine(locked, Facts(driver_cuda=(12, 8), torch="2", error="x"), fits=fits, as_json=True)
    assert caught.value.code == 1
    printed = json.loads(capsys.readouterr().out)
    assert [line["state"] for line in printed["lines"] if line["subject"] == "GPU"] == ["FINDING"]
    assert printed["fits"][0]["verdict"] == "no GPU"


def test_a_full_disk_is_a_finding(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 10**9))
    with pytest.raises(FindingsError, match="disk → make room"):
        examine(locked)


def test_json_has_no_path_of_a_home(
    locked: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "ada"
    (home / ".cache/huggingface").mkdir(parents=True)
    (home / ".cache/huggingface/token").write_text("hf_secret")
    monkeypatch.setenv("HOME", str(home))
    for name in ("HF_TOKEN", "HF_HOME", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    examine(locked)
    assert (
        f"in {home}/.cache/huggingface/token" in capsys.readouterr().out
    )  # only JSON is made to be published
    examine(locked, as_json=True)
    printed = capsys.readouterr().out
    assert "in ~/.cache/huggingface/token" in printed
    assert "ada" not in printed
    assert "hf_secret" not in printed
