"""The workflows keep the project's own rules; zizmor audits the others (tests/lint)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / ".github" / "workflows"
CI = (FOLDER / "ci.yml").read_text(encoding="utf-8")
USES = re.compile(r"^\s+-? ?uses: \S+@[0-9a-f]{40}(?! # v\d+\.\d+\.\d+$).*$", re.MULTILINE)
RUNNER = re.compile(r"^\s+runs-on: (?!ubuntu-\d\d\.\d\d$).*$", re.MULTILINE)


def faults(text: str) -> list[str]:
    """Return the broken rules of a workflow, one line for each."""
    found = [f"no version beside the commit: {line.strip()}" for line in USES.findall(text)]
    found += [f"the runner is not a release: {line.strip()}" for line in RUNNER.findall(text)]
    if "\npermissions: {}\n" not in text:  # zizmor allows the right to read
        found.append("the workflow gives a right to every job")
    if text.count("runs-on:") != text.count("timeout-minutes:"):
        found.append("a job has no time limit")
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.y*ml")), ids=lambda path: path.name)
def test_workflow(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


def test_ci_runs_one_script() -> None:
    assert re.findall(r"^\s+(?:- )?run: (.*)", CI, re.MULTILINE) == ["bash .ci/run"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (" # v7.0.1", "", "no version"),
        (" # v7.0.1", " # latest", "no version"),
        ("permissions: {}", "permissions:\n  contents: read", "right"),
        ("ubuntu-24.04\n", "ubuntu-latest\n", "runner"),
        ("    timeout-minutes: 60\n", "", "time limit"),
    ],
)
def test_faults_are_found(old: str, new: str, fault: str) -> None:
    assert old in CI
    (found,) = faults(CI.replace(old, new, 1))
    assert fault in found
