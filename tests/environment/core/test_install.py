from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from paperlora.environment.core import install, verify
from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.errors import FindingsError, InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _only_the_site(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(site)])


def test_sizes_count_what_is_missing_through_a_stage(locked: Path) -> None:
    lock = locks.load("cuda", root=locked)
    everything, disk = install.sizes(lock, {})
    wheels = sum(path.stat().st_size for path in (locked / "wheels").iterdir())
    assert (everything, disk) == (wheels, 3_000_000)
    assert 0 < install.sizes(lock, {}, "base")[1] < disk
    held = {"alpha": "1.0", "beta": "1.9", "gamma": "3.0"}
    assert (
        install.sizes(lock, held)[0] == (locked / "wheels/beta-2.0-py3-none-any.whl").stat().st_size
    )
    assert install.sizes(lock, {**held, "beta": "2.0"}) == (0, 0)


def test_plan_says_the_sizes_and_refuses_a_full_disk(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = locks.load("cuda", root=locked)
    monkeypatch.setattr(locks, "load", lambda _: lock)
    monkeypatch.setattr(sys, "path", [])
    assert install.plan("cuda", "", "check", "/no/such/folder") == 0
    assert "3.0 MB on disk" in capsys.readouterr().err
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2_000_000}))
    with pytest.raises(InputError, match=r"2\.0 MB free, and 3\.0 MB are needed → make room"):
        install.plan("cuda", "", "check", "/no/such/folder")
    assert install.plan("cuda", "", "trust", "/no/such/folder") == 0


def test_plan_is_silent_when_everything_is_there(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = locks.load("cuda", root=locked)
    monkeypatch.setattr(locks, "load", lambda _: lock)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    assert install.plan("cuda", "", "check", "/") == 0
    assert capsys.readouterr().err == ""


def test_heal_forgets_what_is_not_whole_and_nothing_else(
    site: Path, locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, target = locks.load("cuda", root=locked), targets.load("cuda", root=locked)
    monkeypatch.setattr(locks, "load", lambda _: lock)
    monkeypatch.setattr(targets, "load", lambda _: target)
    assert install.heal("cuda") == 0
    assert len(list(site.glob("*.dist-info"))) == 3
    (site / "alpha/__init__.py").unlink()
    metadata = site / "beta-2.0.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("2.0", "9.9"))
    assert install.heal("cuda") == 1
    assert [path.name for path in site.glob("*.dist-info")] == ["gamma-3.0.dist-info"]
    said = capsys.readouterr().err
    assert "alpha 1.0 lacks alpha/__init__.py" in said
    assert "beta-2.0.dist-info says that it is version 9.9" in said


def test_probe_says_what_failed(monkeypatch: pytest.MonkeyPatch, locked: Path) -> None:
    base, model = targets.stages(root=locked)
    monkeypatch.setattr(targets, "stages", lambda: (base, model))
    assert install.main(["probe", "base"]) == 0
    sys.modules.pop("beta", None)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(FindingsError, match=r"probe of model: ModuleNotFoundError: .*beta"):
        install.probe("model")


@pytest.mark.parametrize(
    ("stale", "found", "code"), [([], [], 0), ([], ["alpha: …"], 1), (["the lock …"], ["x"], 3)]
)
def test_check_tells_what_installing_can_repair_from_what_it_cannot(
    monkeypatch: pytest.MonkeyPatch, stale: list[str], found: list[str], code: int
) -> None:
    monkeypatch.setattr(verify, "stale", lambda _: stale)
    monkeypatch.setattr(verify, "findings", lambda _, through: found if through is None else [])
    assert install.check("cuda", "") == code


def test_an_interruption_is_130_and_an_error_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "heal", interrupted)
    assert install.main(["heal"]) == 130
    assert install.main(["surplus", "nowhere"]) == 3
    assert "nowhere/lock.json cannot be read" in capsys.readouterr().err
