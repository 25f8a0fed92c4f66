from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from checkout import PYTHON

from paperlora.environment.core import installed, verify
from paperlora.environment.core import lock as locks
from paperlora.environment.core.verify import machine
from paperlora.errors import EnvironmentNotVerifiedError, InputError

if TYPE_CHECKING:
    from pathlib import Path


def differences(
    root: Path, site: Path, *, python: str = PYTHON, on: str = machine(), through: str | None = None
) -> list[str]:
    held = installed.distributions([site])
    lock = locks.load("cuda", root=root)
    found = verify.differences(lock, held, python=python, machine=on, through=through)
    return [str(one) for one in found]


def reversion(site: Path, name: str, old: str, new: str) -> None:
    path = site / f"{name}-{old}.dist-info/METADATA"
    path.write_text(path.read_text().replace(f"Version: {old}", f"Version: {new}"))


def forget(site: Path, name: str) -> None:
    (folder,) = site.glob(f"{name}-*.dist-info")
    (folder / "METADATA").unlink()
    folder.rename(site / f"{name}.gone")


def test_what_is_as_locked_has_no_findings(locked: Path, site: Path) -> None:
    assert differences(locked, site) == []


def test_wrong_version(locked: Path, site: Path) -> None:
    reversion(site, "beta", "2.0", "1.9")
    (line,) = differences(locked, site)
    assert line.startswith("beta: locked 2.0 (stage model), found 1.9 → env/install.sh")


def test_missing_package(locked: Path, site: Path) -> None:
    forget(site, "alpha")
    (line,) = differences(locked, site)
    assert line.startswith("alpha: locked 1.0 (stage base), found nothing → env/install.sh")


def test_extra_package(locked: Path, site: Path) -> None:
    (site / "Omega-9.dist-info").mkdir()
    (site / "Omega-9.dist-info/METADATA").write_text("Name: Omega\nVersion: 9\n")
    (line,) = differences(locked, site)
    assert line.startswith("omega: not in the lock, found 9 → env/install.sh")


def test_two_versions_of_one_package(locked: Path, site: Path) -> None:
    (site / "beta-1.9.dist-info").mkdir()
    (site / "beta-1.9.dist-info/METADATA").write_text("Name: beta\nVersion: 1.9\n")
    (line,) = differences(locked, site)
    assert "beta: locked 2.0 (stage model), found 1.9 and 2.0" in line


def test_package_without_metadata(locked: Path, site: Path) -> None:
    (site / "gamma-3.0.dist-info/METADATA").unlink()
    (line,) = differences(locked, site)
    assert "gamma: locked 3.0 (stage model), found no metadata" in line


def test_each_of_several_is_named(locked: Path, site: Path) -> None:
    forget(site, "alpha")
    reversion(site, "gamma", "3.0", "3.1")
    assert [line.partition(":")[0] for line in differences(locked, site)] == ["alpha", "gamma"]


def test_wrong_python(locked: Path, site: Path) -> None:
    (line,) = differences(locked, site, python="3.9")
    assert line.startswith(f"python: locked for {PYTHON}, found 3.9 → ")


def test_wrong_platform(locked: Path, site: Path) -> None:
    (line,) = differences(locked, site, on="darwin-arm64")
    assert line.startswith(f"platform: locked for {machine()}, found darwin-arm64 → ")


def test_a_later_stage_may_but_need_not_be_there(locked: Path, site: Path) -> None:
    assert differences(locked, site, through="base") == []
    forget(site, "beta")
    assert differences(locked, site, through="base") == []
    assert len(differences(locked, site)) == 1
    forget(site, "alpha")
    assert len(differences(locked, site, through="base")) == 1


def test_a_fresh_lock_is_not_stale(locked: Path) -> None:
    assert verify.stale("cuda", root=locked) == []


def test_a_lock_is_stale_when_its_inputs_change(locked: Path) -> None:
    path = locked / "env/stages.toml"
    path.write_text(path.read_text().replace("==2.0", "==2.1"))
    (found,) = verify.stale("cuda", root=locked)
    assert str(found) == "lock of cuda: stale: env/*.toml changed after it → env/nox -s lock"


def test_a_changed_slice_and_a_missing_one_are_named(locked: Path) -> None:
    folder = locked / "lockfiles/cuda"
    (folder / "10-base.txt").write_text((folder / "10-base.txt").read_text().replace("1.0", "1.1"))
    (folder / "20-model.txt").unlink()
    first, second = map(str, verify.stale("cuda", root=locked))
    assert "cuda/10-base.txt: was changed: line 3" in first
    assert "cuda/20-model.txt: is missing" in second


def test_run_prints_or_refuses_with_code_3(
    locked: Path, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [str(site)])
    verify.run("cuda", root=locked)
    assert capsys.readouterr().out.startswith("verified: cuda, 3 packages, fingerprint ")
    reversion(site, "beta", "2.0", "1.9")
    forget(site, "alpha")
    assert len(verify.findings("cuda", root=locked)) == 2
    with pytest.raises(EnvironmentNotVerifiedError) as caught:
        verify.run("cuda", root=locked)
    text = str(caught.value)
    assert caught.value.code == 3
    assert "alpha: locked 1.0" in text
    assert "beta: locked 2.0" in text
    assert text.count("→") == 1
    assert text.endswith("env/install.sh --target cuda")


def test_unknown_target_and_missing_lock(inputs: Path) -> None:
    with pytest.raises(InputError, match="no target 'x'"):
        verify.findings("x", root=inputs)
    with pytest.raises(EnvironmentNotVerifiedError, match=r"lock\.json cannot be read"):
        verify.findings("cuda", root=inputs)


def test_the_target_is_the_user_s_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAPERLORA_TARGET", raising=False)
    assert verify.own_target() == "cuda"
    monkeypatch.setenv("PAPERLORA_TARGET", "colab-2026.04")
    assert verify.own_target() == "colab-2026.04"


def colab(root: Path, site: Path, **versions: str) -> list[str]:
    """Return the differences of a runtime that should have alpha and gets the rest from the lock."""
    lock = locks.load("cuda", root=root)
    base, model = lock.slices
    lock = replace(lock, slices=(replace(base, packages=()), model), provided={"alpha": "1.0+cu1"})
    for name, version in versions.items():
        reversion(site, name, "1.0", version)
    held = installed.distributions([site])
    found = verify.differences(lock, held, python=PYTHON, machine=machine())
    return [str(one) for one in found]


def test_a_runtime_s_own_packages_are_held_to_the_lock_too(locked: Path, site: Path) -> None:
    assert colab(locked, site) == []
    (line,) = colab(locked, site, alpha="1.1")
    assert line.startswith("alpha: the runtime should have 1.0+cu1, found 1.1 → pick Colab's")
    forget(site, "alpha")
    (line,) = colab(locked, site)
    assert "found nothing" in line


def test_a_line_stays_readable_where_nothing_is_right(
    locked: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        (site / f"extra{number}-1.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(site)])
    with pytest.raises(EnvironmentNotVerifiedError, match=r"and 10 more \(verify --json lists all"):
        verify.require("cuda", root=locked)
