"""The manifests in docs/scale fit the schemas of Kubernetes, and damaged copies do not.

Run by `env/nox -s lint`, which installs the schemas apart from the locked environment.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from paperlora.files import ROOT

pytestmark = pytest.mark.lint

TOOLS = Path(os.environ.get("PAPERLORA_LINT") or ROOT / ".envs/lint/bin")
MANIFESTS = sorted((ROOT / "docs/scale").glob("*.yaml"))


def fault(manifest: Path) -> str:
    """Return what is wrong with a manifest, ``""`` for nothing."""
    command = [str(TOOLS / "kubernetes-validate"), "--strict", str(manifest)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert "Traceback" not in text, text
    return text if done.returncode else ""


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_the_manifests_fit_the_schemas(manifest: Path) -> None:
    assert fault(manifest) == ""
    assert len(MANIFESTS) == 2


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("completionMode:", "completionsMode:", "completionsMode"),
        ("completions: 8", 'completions: "8"', "'8' is not"),
        ("backoffLimitPerIndex", "backoffLimitPerindex", "backoffLimitPerindex"),
        ("mountPath: /papers, ", "", "'mountPath' is a required property"),
        ("claimName: runs", "claim: runs", "'claimName' is a required property"),
        ("- name: parse\n", "- label: parse\n", "'name' is a required property"),
    ],
)
def test_a_fault_is_found(tmp_path: Path, old: str, new: str, found: str) -> None:
    text = (ROOT / "docs/scale/kubernetes-parts.yaml").read_text(encoding="utf-8")
    assert old in text
    damaged = tmp_path / "damaged.yaml"
    damaged.write_text(text.replace(old, new))
    assert found in fault(damaged)
