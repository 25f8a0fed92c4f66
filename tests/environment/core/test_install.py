from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

import pytest

from paperlora.environment.core import install, verify
from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.errors import FindingsError, InputError
from paperlora.files import ROOT

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
    assert install.main(["plan", "cuda", "", "check", "/no/such/folder"]) == 0
    assert "3.0 MB on disk" in capsys.readouterr().err
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2_000_000}))
    with pytest.raises(InputError, match=r"2\.0 MB free, and 3\.0 MB are needed → free some space"):
        install.plan("cuda", "", "check", "/no/such/folder")
    assert install.main(["plan", "cuda", "", "trust", "/no/such/folder"]) == 0


def test_plan_is_silent_when_everything_is_there(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = locks.load("cuda", root=locked)
    monkeypatch.setattr(locks, "load", lambda _: lock)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    assert install.main(["plan", "cuda", "", "check", "/"]) == 0
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
    assert "beta-2.0.dist-info has metadata of version 9.9" in said


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


def test_prove_reads_every_file_and_is_3_when_one_differs(
    site: Path, locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = verify.run
    monkeypatch.setattr(sys, "prefix", str(site.parent.parent))
    monkeypatch.setattr(verify, "run", lambda *a, **options: run(*a, **options, root=locked))
    assert install.main(["prove", "cuda"]) == 0
    assert "3 packages and all their files" in capsys.readouterr().out
    (site / "alpha/__init__.py").write_text("version = '1.1'\n")
    assert install.main(["prove", "cuda"]) == 3
    assert "alpha/__init__.py: the file was changed" in capsys.readouterr().err


def test_slim_removes_what_is_declared_and_tells_how_much(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".lock").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(install, "slim", lambda _, sites: (len(sites), 2_000_000))
    assert install.main(["slim"]) == 0
    assert "removed 1 declared files, 2.0 MB" in capsys.readouterr().err
    assert not (tmp_path / ".lock").exists()


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


def is_allowed(module: str) -> bool:
    own = ("paperlora.environment.core", "paperlora.errors", "paperlora.files")
    return module.startswith(own) or module.partition(".")[0] in sys.stdlib_module_names


def test_an_install_needs_the_standard_library_and_this_folder_only() -> None:
    folder = ROOT / "src/paperlora/environment/core"
    for path in folder.glob("*.py"):
        assert [name for name in imported(path) if not is_allowed(name)] == [], path
    # The control: other folders import more.
    assert not all(map(is_allowed, imported(folder.parent / "locks/metadata.py")))


def test_an_interruption_is_130_and_an_error_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "heal", interrupted)
    assert install.main(["heal"]) == 130
    assert install.main(["surplus", "nowhere"]) == 3
    assert "nowhere/lock.json cannot be read" in capsys.readouterr().err


def test_surplus_is_what_no_stage_has(
    locked: Path, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [str(site)])
    install.surplus("cuda", root=locked)
    assert capsys.readouterr().out == ""
    (site / "omega-9.dist-info").mkdir()
    install.surplus("cuda", root=locked)
    assert capsys.readouterr().out == "omega\n"
