from __future__ import annotations

import shutil
import sysconfig
from collections import namedtuple
from typing import TYPE_CHECKING

import pytest

from paperlora.environment.host import machine
from paperlora.environment.host.diagnosis import FINDING, GOOD, NOTE

if TYPE_CHECKING:
    from pathlib import Path

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil's


@pytest.fixture(autouse=True)
def _a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")


def test_where_a_token_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.token().seen == "in HF_TOKEN"
    monkeypatch.setenv("HF_TOKEN", " ")
    for name in ("HF_HOME", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine.Path, "home", lambda: tmp_path)
    assert machine.token().state == NOTE
    path = tmp_path / ".cache/huggingface/token"
    path.parent.mkdir(parents=True)
    path.write_text("\n")
    assert machine.token().state == NOTE
    path.write_text("hf_x\n")
    assert machine.token().seen == f"in {path}"
    assert machine.token().state == GOOD
    path.unlink()
    assert machine.token().state == NOTE


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (("glibc", "2.28"), GOOD),
        (("glibc", "2.36"), GOOD),
        (("glibc", "3.0"), GOOD),
        (("glibc", "2.100"), GOOD),
        (("glibc", "2.17"), FINDING),
        (("musl", "9.9"), FINDING),
        (("", ""), FINDING),
    ],
)
def test_the_c_library_against_the_wheels(seen: tuple[str, str], state: str) -> None:
    line = machine.c_library("x86_64-manylinux_2_28", seen)
    assert line.state == state
    assert ("glibc 2.28 or later" in line.remedy) == (state == FINDING)


def test_the_c_library_of_this_machine_is_new_enough() -> None:
    assert machine.c_library("x86_64-manylinux_2_28").state == GOOD


def test_what_compiling_kernels_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(shutil, "which", lambda _: None)
    line = machine.compiler()
    assert (line.state, line.seen) == (NOTE, "no gcc and no Python's headers")
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert machine.compiler().state == GOOD


def test_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((10**12, GOOD), (10**9, FINDING)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(10**12, 0, free))
        lines = [
            line
            for line in machine.room([tmp_path / "not/yet", tmp_path])
            if line.subject == "disk"
        ]
        assert [line.state for line in lines] == [state]


def test_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((64_000_000, GOOD), (1_000_000, FINDING)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(10**8, 0, free))
        line = machine.shared_memory(tmp_path)
        assert line.state == state
    assert "--shm-size" in line.remedy
    assert machine.shared_memory(tmp_path / "none").seen.startswith("0")
