from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from paperlora.environment.core import lock as locks
from paperlora.environment.core import verify
from paperlora.files import sha256_json

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _only_the_site(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(site)])


def fingerprint(root: Path) -> str:
    return sha256_json(verify.identity("cuda", root=root))


def test_the_same_environment_has_the_same_fingerprint(locked: Path) -> None:
    assert fingerprint(locked) == fingerprint(locked)


def test_a_version_a_locked_file_and_an_extra_package_change_it(locked: Path, site: Path) -> None:
    seen = {fingerprint(locked)}
    lock = locked / "lockfiles/cuda/lock.json"
    whole = lock.read_text()
    digest = locks.load("cuda", root=locked).slices[0].packages[0].wheels[0].sha256
    lock.write_text(whole.replace(digest, "0" * 64))
    seen.add(fingerprint(locked))
    lock.write_text(whole)
    (site / "omega-9.dist-info").mkdir()
    seen.add(fingerprint(locked))
    metadata = site / "beta-2.0.dist-info/METADATA"
    metadata.write_text("Name: beta\nVersion: 1.9\n")
    seen.add(fingerprint(locked))
    assert len(seen) == 4


def test_a_package_that_differs_from_its_pin_has_no_locked_hash(locked: Path, site: Path) -> None:
    (site / "beta-2.0.dist-info/METADATA").write_text("Name: beta\nVersion: 1.9\n")
    packages = verify.identity("cuda", root=locked)["packages"]
    assert packages["beta"] == ["1.9", ""]
    assert len(packages["alpha"][1]) == 64
