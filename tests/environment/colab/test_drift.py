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


def test_the_same_runtime_has_no_changes(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drift.run("colab-r1", freeze(tmp_path), root=checkout)
    assert capsys.readouterr().out == "0 other packages changed (see --json)\n"


def test_packages_that_are_not_ours_may_change(checkout: Path, tmp_path: Path) -> None:
    drift.run("colab-r1", freeze(tmp_path, delta="2.0", fresh="1", legacy="gone"), root=checkout)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"alpha": "1.1"}, "alpha  1.0  1.1  the lock uses it"),
        ({"alpha": "gone"}, "alpha  1.0  —  the lock needs it, and it is gone"),
        ({"beta": "1.6"}, "beta  1.5  1.6  our 2.0 replaces it"),
        ({"beta": "2.5"}, "beta  1.5  2.5  our 2.0 replaces it, which is no longer needed"),
        ({"torch": "2.1"}, "torch  2.0+cu1  2.1  protected"),
    ],
)
def test_a_change_that_matters_to_the_lock_is_a_finding(
    checkout: Path,
    tmp_path: Path,
    changed: dict[str, str],
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(FindingsError, match="1 packages changed"):
        drift.run("colab-r1", freeze(tmp_path, **changed), root=checkout)
    assert capsys.readouterr().out.splitlines()[0] == why


def test_json_lists_every_change(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FindingsError):
        drift.run("colab-r1", freeze(tmp_path, torch="3", delta="2"), as_json=True, root=checkout)
    moves = json.loads(capsys.readouterr().out)["moves"]
    assert [(one["package"], one["now"]) for one in moves] == [("torch", "3"), ("delta", "2")]


def test_only_colab_targets_can_be_compared(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cuda is not a Colab target"):
        drift.run("cuda", freeze(tmp_path), root=checkout)
