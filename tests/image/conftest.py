"""The images must be there: without an engine these tests fail, they are never skipped."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from engine import NAME

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _images() -> None:
    for variant in ("tools", "cuda"):
        done = subprocess.run(
            ["docker", "image", "inspect", f"{NAME}:{variant}"], capture_output=True, check=False
        )
        if done.returncode:
            pytest.fail(f"no engine has {NAME}:{variant} → env/nox -s image", pytrace=False)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder for runs that the image's user may write to."""
    folder = tmp_path / "runs"
    folder.mkdir()
    folder.chmod(0o777)
    return folder
