"""`.ci/run` deletes a build cache only where nothing else uses it."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from paperlora.files import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = (ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("engine", "hosted", "pruned"),
    [(False, "", False), (True, "", True), (False, "true", True)],
)
def test_the_build_cache_of_a_developer_stays(
    tmp_path: Path, *, engine: bool, hosted: str, pruned: bool
) -> None:
    """Run the script from its part on images to the end, with fake docker and nox."""
    part = re.search(r"^own_cache=''\n.*", SCRIPT, re.MULTILINE | re.DOTALL)
    assert part
    checkout, log = tmp_path / "checkout", tmp_path / "log"
    names = ["checkout/env/nox", "bin/docker"]
    names += ["shared/engine/docker-engine", "shared/engine/base-image"] if engine else []
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\n[ "$1" = start ] || echo "$@" >>"{log}"\n')
        path.chmod(0o755)
    environment = {"PATH": f"{tmp_path}/bin:{os.defpath}", "GITHUB_ACTIONS": hosted}
    command = ["bash", "-euo", "pipefail", "-c", part[0]]
    subprocess.run(command, cwd=checkout, env=environment, check=True)
    said = log.read_text()
    assert "-s tests -- -m image" in said
    assert ("buildx prune --all --force" in said) is pruned
