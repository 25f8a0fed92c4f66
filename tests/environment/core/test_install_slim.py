"""slim removes the declared files of packages and lists them; it removes nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from paperlora.environment.core import install, intact

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A prefix with one package of three files, and a declaration for its static library."""
    folder = tmp_path / "prefix/lib/python3.12/site-packages"
    for name in ("thing/__init__.py", "thing/lib/big.a", "thing-1.0.dist-info/METADATA"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("Name: thing\nVersion: 1.0\n")
    rows = ["thing/__init__.py,,", "thing/lib/big.a,,", "thing-1.0.dist-info/METADATA,,"]
    rows += ["thing-1.0.dist-info/RECORD,,"]
    (folder / "thing-1.0.dist-info/RECORD").write_text("\n".join(rows) + "\n")
    (folder / "stranger.a").write_text("no package claims it")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/removals.toml").write_text('[[removal]]\npattern = "*.a"\nwhy = "static"\n')
    return folder


def slim(site: Path) -> tuple[int, int]:
    prefix = site.parents[2]
    return install.slim(prefix, [site], root=prefix.parent)


def test_declared_files_go_with_the_folders_that_they_leave_empty(site: Path) -> None:
    assert slim(site) == (1, 25)
    assert not (site / "thing/lib").exists()
    assert (site / "thing/__init__.py").exists()
    assert (site / "stranger.a").exists(), "only what a RECORD lists is known by name"
    assert json.loads((site.parents[2] / ".removed.json").read_text()) == ["thing/lib/big.a"]


def test_a_second_time_keeps_the_list(site: Path) -> None:
    slim(site)
    assert slim(site) == (0, 0)
    assert json.loads((site.parents[2] / ".removed.json").read_text()) == ["thing/lib/big.a"]


def test_verify_accepts_what_was_removed_and_nothing_else(site: Path) -> None:
    prefix = site.parents[2]
    slim(site)

    def missing() -> list[str]:
        told = intact.findings([site], prefix=prefix, root=prefix.parent)
        return [one.subject for one in told if "missing" in one.problem]

    assert missing() == []
    (site / "thing/__init__.py").unlink()
    assert missing() == ["thing, thing/__init__.py"]
