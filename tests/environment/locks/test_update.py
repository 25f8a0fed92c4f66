from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_uv import FAKE_UV

from paperlora.environment.core import runtime
from paperlora.environment.core import target as targets
from paperlora.environment.locks import resolve, update
from paperlora.environment.locks.update import Pin
from paperlora.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "ab" * 20


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tools/uv"
    path.parent.mkdir()
    path.write_text(FAKE_UV)
    path.chmod(0o755)
    monkeypatch.setenv("PAPERLORA_TOOLS", str(path.parent))
    return path


def test_changes_name_package_from_to_stage_and_reason() -> None:
    old = {
        ("cuda", "a"): Pin(version="1.0", stage="base", why="arrays"),
        ("cuda", "b"): Pin(version="1.0", stage="base", why="x"),
        ("cuda", "gone"): Pin(version="1", stage="model", why="required by b"),
    }
    new = {
        ("cuda", "a"): Pin(version="2.0", stage="base", why="arrays"),
        ("cuda", "b"): Pin(version="1.0", stage="base", why="x"),
        ("lint", "c"): Pin(version="1", stage="", why="tools of `lint`"),
    }
    found = update.changes(old, new)
    assert [(c.target, c.package, c.old, c.new, c.stage, c.why) for c in found] == [
        ("cuda", "a", "1.0", "2.0", "base", "arrays (major: read its release notes)"),
        ("cuda", "gone", "1", "", "model", "required by b"),
        ("lint", "c", "", "1", "", "tools of `lint`"),
    ]
    assert "| cuda | gone | 1 | – | model | required by b |" in update.table(found)
    assert update.table([]) == "No pin changed.\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1.2.3", "2.0", "major"),
        ("1.2", "1.3", "minor"),
        ("1.2.3", "1.2.4", "patch"),
        ("", "1", ""),
    ],
)
def test_how_far_a_version_moved(old: str, new: str, said: str) -> None:
    assert update._step(old, new).partition(":")[0] == said


def test_run_moves_the_cutoff_locks_anew_and_prints_the_difference(
    inputs: Path, uv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resolve.run(root=inputs)
    uv.write_text(FAKE_UV.replace('"gamma": "3.0"', '"gamma": "3.1"'))
    capsys.readouterr()
    update.run(cutoff="2026-02-02T00:00:00Z", root=inputs)
    said = capsys.readouterr().out
    assert "Cutoff moved from 2026-01-01T00:00:00Z to 2026-02-02T00:00:00Z." in said
    rows = [line for line in said.splitlines() if line.startswith("| cuda")]
    assert rows == ["| cuda | gamma | 3.0 | 3.1 | model | required by beta (minor) |"]
    assert targets.load("cuda", root=inputs).cutoff == "2026-02-02T00:00:00Z"


def test_when_nothing_fits_the_inputs_are_put_back(inputs: Path, uv: Path) -> None:
    resolve.run(root=inputs)
    uv.write_text("#!/bin/sh\necho 'error: No solution found' >&2\nexit 1\n")
    path = inputs / "env/targets.toml"
    before = path.read_text()
    freeze = inputs / "freeze.txt"
    freeze.write_text("alpha==1.1\n")
    with pytest.raises(InputError, match="No solution found"):
        update.run(
            cutoff="2026-02-02T00:00:00Z", name="r2", freeze=f"{freeze}@{COMMIT}", root=inputs
        )
    assert path.read_text() == before
    assert runtime.names(root=inputs) == ["r1"]


def test_a_new_runtime_is_recorded_from_its_freeze(inputs: Path, uv: Path) -> None:
    freeze = inputs / "freeze.txt"
    freeze.write_text("alpha==1.1\nbeta==1.5\n")
    update.run(cutoff="2026-02-02T00:00:00Z", name="r1", freeze=f"{freeze}@{COMMIT}", root=inputs)
    assert runtime.load("r1", root=inputs).commit == COMMIT
    packages = resolve.resolve(targets.load("cuda", root=inputs)).packages
    assert packages(targets.load("cuda", root=inputs).python[0])["alpha"][1].version == "1.1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cutoff": "yesterday"}, "'yesterday' is not a time"),
        ({"name": "r2"}, "needs a name and a freeze"),
        ({"name": "r2", "freeze": "freeze.txt"}, "'freeze.txt' has no commit"),
        ({"name": "../../r2", "freeze": COMMIT}, "'../../r2' is not the name of a runtime"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    inputs: Path, uv: Path, options: dict[str, str], said: str
) -> None:
    before = (inputs / "env/targets.toml").read_text()
    with pytest.raises(InputError, match=said):
        update.run(root=inputs, **options)
    assert (inputs / "env/targets.toml").read_text() == before
