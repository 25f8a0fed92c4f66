"""Fixtures of the environment's tests: a small checkout, its lock, and its installed packages."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest
from checkout import RUNTIME, STAGES, TARGETS, write_lock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Return a checkout with the files that people write, but without a lock."""
    root = tmp_path / "root"
    (root / "env/colab").mkdir(parents=True)
    (root / "env/stages.toml").write_text(STAGES)
    (root / "env/targets.toml").write_text(TARGETS)
    (root / "env/colab/r1.toml").write_text(RUNTIME)
    return root


@pytest.fixture
def locked(inputs: Path) -> Path:
    """Return the same checkout with its lock and its wheels."""
    write_lock(inputs)
    return inputs


@pytest.fixture
def site(tmp_path: Path, locked: Path) -> Path:
    """Return a site-packages folder with exactly the packages of ``locked``."""
    folder = tmp_path / "lib/site-packages"
    folder.mkdir(parents=True)
    for wheel in (locked / "wheels").iterdir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return folder
