"""zizmor audits the workflows, and finds each fault of a damaged copy.

Run by `env/nox -s lint`, which installs the tools. What zizmor does not see is in
tests/test_workflows.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from paperlora.files import ROOT

pytestmark = pytest.mark.lint

TOOLS = Path(os.environ.get("PAPERLORA_LINT") or ROOT / ".envs/lint/bin")
CI = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
CHECKOUT = "uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
WITH = "\n        with:\n          persist-credentials: false"
# Without the network, with the audits of every persona; a file that it cannot read is an error.
AUDIT = ("--offline", "--quiet", "--strict-collection", "--persona", "auditor", "--format", "json")


def audit(folder: Path) -> list[str]:
    """Return the names of the audits that found something in ``folder``/.github."""
    command = [str(TOOLS / "zizmor"), *AUDIT, ".github"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return sorted({one["ident"] for one in json.loads(done.stdout)})


def test_the_workflows_pass() -> None:
    assert audit(ROOT) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (CHECKOUT, "uses: actions/checkout@v7", "unpinned-uses"),
        (CHECKOUT, "uses: actions/checkout@3d3c42e # v7.0.1", "unpinned-uses"),
        (CHECKOUT, '"uses": actions/checkout@v7', "unpinned-uses"),
        (
            f"{CHECKOUT}{WITH}",
            "{uses: actions/checkout@v7, with: {persist-credentials: false}}",
            "unpinned-uses",
        ),
        ("permissions: {}\n", "", "excessive-permissions"),
        ("permissions: {}", "permissions: write-all", "excessive-permissions"),
        ("permissions: {}", "# permissions: {}", "excessive-permissions"),
        ("permissions: {}", "permissions: read-all", "excessive-permissions"),
        ("credentials: false", "credentials: true", "artipacked"),
        (WITH, "", "artipacked"),
        ("  pull_request:", "  pull_request_target:", "dangerous-triggers"),
        ("bash .ci/run", "echo ${{ github.event.pull_request.title }}", "template-injection"),
    ],
)
def test_a_fault_is_found(tmp_path: Path, old: str, new: str, found: str) -> None:
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    assert old in CI
    (folder / "ci.yml").write_text(CI.replace(old, new, 1))
    assert audit(tmp_path) == [found]


def test_a_workflow_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / "ci.yml").write_text(CI)
    (folder / "other.yml").write_text("jobs: [")
    with pytest.raises(AssertionError, match="other"):
        audit(tmp_path)
