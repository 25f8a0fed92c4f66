"""The images must exist: without an engine these tests fail, they are never skipped."""

from __future__ import annotations

import subprocess

import pytest
from engine import NAME


@pytest.fixture(scope="session", autouse=True)
def _images() -> None:
    for variant in ("tools", "cuda"):
        done = subprocess.run(
            ["docker", "image", "inspect", f"{NAME}:{variant}"], capture_output=True, check=False
        )
        if done.returncode:
            pytest.fail(f"no engine has {NAME}:{variant} → env/nox -s image", pytrace=False)
