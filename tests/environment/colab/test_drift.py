from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from colab_checkout import RUNTIME, write

from paperlora.environment.colab import drift
from paperlora.errors import FindingsError, InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return write(tmp_path / "root")


def freeze(folder: Path, **versions: str) -> str:
    path = folder / "freeze.txt"
    packages = {**RUNTIME, **versions}
    path.write_text("".join(f"{n}=={v}\n" for n, v in packages.items() if v != "gone"))
    return str(path)


def test_the_same_runtime_has_not_moved(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drift.run("colab-r1", freeze(tmp_path), root=checkout)
    assert capsys.readouterr().out == "0 other packages moved, came or went (--json lists them)\n"


def test_what_is_not_ours_may_move(checkout: Path, tmp_path: Path) -> None:
    drift.run("colab-r1", freeze(tmp_path, delta="2.0", fresh="1", legacy="gone"), root=checkout)


@pytest.mark.parametrize(
    ("moved", "why"),
    [
        ({"alpha": "1.1"}, "alpha  1.0  1.1  the lock relies on it"),
        ({"alpha": "gone"}, "alpha  1.0  —  the lock relies on it, and it is gone"),
        ({"beta": "1.6"}, "beta  1.5  1.6  our 2.0 replaces it"),
        ({"beta": "2.5"}, "beta  1.5  2.5  our 2.0 replaces it, which is no longer needed"),
        ({"torch": "2.1"}, "torch  2.0+cu1  2.1  protected"),
    ],
)
def test_what_the_lock_is_about_is_a_finding(
    checkout: Path,
    tmp_path: Path,
    moved: dict[str, str],
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(FindingsError, match="1 packages moved"):
        drift.run("colab-r1", freeze(tmp_path, **moved), root=checkout)
    assert capsys.readouterr().out.splitlines()[0] == why


def test_everything_that_moved_is_told_to_a_program(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FindingsError):
        drift.run("colab-r1", freeze(tmp_path, torch="3", delta="2"), as_json=True, root=checkout)
    told = json.loads(capsys.readouterr().out)["moves"]
    assert [(one["package"], one["now"]) for one in told] == [("torch", "3"), ("delta", "2")]


def test_only_colab_targets_drift(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cuda is no Colab target"):
        drift.run("cuda", freeze(tmp_path), root=checkout)
