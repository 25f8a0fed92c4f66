from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from checkout import PYTHON, write_lock

from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.core import verify
from paperlora.environment.locks import resolve
from paperlora.errors import EnvironmentNotVerifiedError, InputError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_lock_is_read_back_as_it_was_written(inputs: Path) -> None:
    written = write_lock(inputs)
    assert locks.load("cuda", root=inputs) == written
    path = inputs / "lockfiles/cuda/lock.json"
    assert written.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_generated_files_say_so_on_line_one(locked: Path) -> None:
    files = list((locked / "lockfiles/cuda").iterdir())
    assert len(files) == 3
    for path in files:
        assert "Generated" in path.read_text().splitlines()[0]


def test_a_hand_written_file_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "10-base.txt"
    path.write_text(f"numpy==2\n# {locks.GENERATED}\n")
    with pytest.raises(InputError, match=r"10-base\.txt was not generated"):
        locks.refuse_hand_written(path)
    path.write_text(f"# {locks.GENERATED}\nold\n")
    locks.refuse_hand_written(path)


def test_a_pin_for_some_pythons_carries_a_marker() -> None:
    wheel = locks.Wheel(file="a.whl", sha256="ab", size=1)
    some = locks.Package(name="a", version="1", python=("3.12",), wheels=(wheel,))
    every = replace(some, python=("3.11", "3.12"))
    lock = replace(locks.load("cuda"), python=("3.11", "3.12"))
    text = locks.slice_text(lock, locks.Slice(stage="s", file="", packages=(some, every)))
    assert text.splitlines()[2:] == [
        "a==1 ; python_version == '3.12' \\",
        "    --hash=sha256:ab",
        "a==1 \\",
        "    --hash=sha256:ab",
    ]


def test_packages_stop_at_a_stage_and_leave_out_other_pythons(locked: Path) -> None:
    lock = locks.load("cuda", root=locked)
    assert sorted(lock.packages(PYTHON)) == ["alpha", "beta", "gamma"]
    assert lock.packages(PYTHON)["gamma"][0] == "model"
    assert sorted(lock.packages(PYTHON, through="base")) == ["alpha"]
    assert lock.packages("3.2") == {}


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda body: body.replace(b"beta==2.0", b"beta==2.1"), 3),
        (lambda body: body.replace(b"# Stage", b"# stage"), 2),
        (lambda body: body.replace(b"installs it.", b"installs it. \\"), 2),
        (lambda body: body.replace(b"\n", b"\r\n"), 1),
        (lambda body: body.replace(b"beta==2.0", b"beta==2.0 ; python_version == '3.2'"), 3),
        (lambda body: body.rstrip(b"\n"), 7),
        (lambda body: body + b"\n", 8),
        (lambda body: body + b"\xff", 7),
        (lambda _: b"", 1),
    ],
)
def test_the_first_line_that_differs_is_named(
    locked: Path, damage: Callable[[bytes], bytes], line: int
) -> None:
    lock = locks.load("cuda", root=locked)
    assert locks.changed_slices(lock, root=locked) == []
    path = locked / "lockfiles/cuda/20-model.txt"
    path.write_bytes(damage(path.read_bytes()))
    (found,) = locks.changed_slices(lock, root=locked)
    assert str(found).startswith(f"lockfiles/cuda/20-model.txt: was changed: line {line} → restore")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"generated": ""}',
        '{"generated": "", "slices": []}',
        '{"generated": "", "target": "x"}',
    ],
)
def test_a_damaged_lock_is_named(locked: Path, content: str) -> None:
    (locked / "lockfiles/cuda/lock.json").write_text(content)
    with pytest.raises(EnvironmentNotVerifiedError, match=r"lock\.json cannot be read") as caught:
        locks.load("cuda", root=locked)
    assert caught.value.code == 3


def test_the_shipped_lock_is_fresh_hashed_and_without_doubles() -> None:
    target = targets.load("cuda")
    lock = locks.load("cuda")
    assert verify.stale("cuda") == []
    assert lock.stages == [stage.name for stage in target.stages]
    names = [package.name for part in lock.slices for package in part.packages]
    assert len(names) == len(set(names))
    assert all(package.wheels for part in lock.slices for package in part.packages)
    on_disk = sorted(path.name for path in (ROOT / "lockfiles/cuda").glob("*.txt"))
    assert on_disk == [part.file for part in lock.slices]


def test_the_shipped_lock_has_the_versions_asked_for() -> None:
    lock = locks.load("cuda")
    for stage in targets.stages():
        for requirement in stage.requirements:
            where, package = lock.packages("3.12")[requirement.name]
            assert where == stage.name or lock.stages.index(where) < lock.stages.index(stage.name)
            assert not requirement.version or requirement.version == f"=={package.version}"


def test_the_shipped_lock_has_the_runtime_s_versions_but_where_a_stage_says_otherwise() -> None:
    target = targets.load("cuda")
    asked = [r for stage in target.stages for r in stage.requirements]
    own = {r.name for r in asked if not resolve.fits(target.runtime, r)}
    for name, (_, package) in locks.load("cuda").packages("3.12").items():
        if name not in own and name in target.runtime.packages:
            assert package.version == target.runtime.packages[name].split("+")[0], name


def test_no_address_of_an_index_is_in_a_lock() -> None:
    for path in Path(ROOT / "lockfiles").rglob("*.txt"):
        assert "://" not in path.read_text(), path
