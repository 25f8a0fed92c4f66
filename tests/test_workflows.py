"""The workflows: actions pinned by commit, no rights by default, no logic of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / ".github" / "workflows"
CI = (FOLDER / "ci.yml").read_text(encoding="utf-8")
USES = re.compile(r"""\buses["']?\s*:""")
PINNED = re.compile(r"uses: [\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+(\.\d+){2}")


def faults(text: str) -> list[str]:
    """Return what is wrong with a workflow, a line for each fault."""
    code = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = [
        f"not pinned by commit with its version: {line.strip()}"
        for line in code
        if USES.search(line) and not PINNED.fullmatch(line.strip().removeprefix("- "))
    ]
    if code.count("permissions: {}") != 1:
        found.append("rights are not empty at the top")
    if text.count("persist-credentials: false") < text.count("actions/checkout@"):
        found.append("a checkout leaves its token behind")
    if "pull_request_target" in text:
        found.append("runs a stranger's code with the repository's rights")
    if any(re.match(r"\s+runs-on: (?!ubuntu-\d\d\.\d\d$)", line) for line in code):
        found.append("the runner is not named by its release")
    if sum("runs-on:" in line for line in code) != sum("timeout-minutes:" in line for line in code):
        found.append("a job has no time limit")
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.y*ml")), ids=lambda path: path.name)
def test_workflow(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


def test_ci_runs_one_script() -> None:
    assert re.findall(r"^\s+(?:- )?run: (.*)", CI, re.MULTILINE) == ["bash .ci/run"]


CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (CHECKOUT, "actions/checkout@v7", "not pinned"),
        (CHECKOUT, "actions/checkout@3d3c42e # v7.0.1", "not pinned"),
        (CHECKOUT, CHECKOUT.partition(" #")[0], "not pinned"),
        (CHECKOUT, f"{CHECKOUT.partition(' #')[0]} # latest", "not pinned"),
        (f"- uses: {CHECKOUT}", "- {uses: actions/checkout@v7}", "not pinned"),
        (f"- uses: {CHECKOUT}", f'- "uses": "{CHECKOUT}"', "not pinned"),
        ("permissions: {}\n", "", "rights"),
        ("permissions: {}", "permissions: write-all", "rights"),
        ("permissions: {}", "# permissions: {}", "rights"),
        ("persist-credentials: false", "persist-credentials: true", "token"),
        ("  pull_request:", "  pull_request_target:", "stranger"),
        ("ubuntu-24.04\n", "ubuntu-latest\n", "runner"),
        ("    timeout-minutes: 60\n", "", "time limit"),
    ],
)
def test_faults_are_found(old: str, new: str, fault: str) -> None:
    assert old in CI
    (found,) = faults(CI.replace(old, new, 1))
    assert fault in found
