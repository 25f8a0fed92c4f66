"""Damage environments, each with its own real interpreter: `verify` must name what is wrong.

Every row is one way to damage an environment that is as locked, with what the message must say.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from checkout import PYTHON, RUNTIME, STAGES, TARGETS, machine, record_line, write_lock

from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    Damage = Callable[["Checkout"], object]

REMOVALS = '[[removal]]\npattern = "*/tests/*"\nwhy = "tests of other packages"\n'


class Checkout:
    """A checkout with a lock, and the environment made for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lockfiles = root / "lockfiles/cuda"
        self.prefix = root / ".envs/cuda"
        self.site = self.prefix / f"lib/python{PYTHON}/site-packages"
        self.alpha = self.site / "alpha/__init__.py"
        self.beta = self.site / "beta-2.0.dist-info"

    def verify(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.prefix / "bin/python"), "-m", "paperlora", "verify", *arguments]
        environment = {"PYTHONPATH": str(self.root / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("healthy") / "root"
    (root / "env/colab").mkdir(parents=True)
    (root / "env/stages.toml").write_text(STAGES)
    (root / "env/targets.toml").write_text(TARGETS)
    (root / "env/colab/r1.toml").write_text(RUNTIME)
    write_lock(root)
    unneeded = shutil.ignore_patterns("__pycache__", "papers")
    shutil.copytree(ROOT / "src/paperlora", root / "src/paperlora", ignore=unneeded)
    venv.create(root / ".envs/cuda", symlinks=True)
    for wheel in (root / "wheels").iterdir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Checkout(root).site)
    return root


@pytest.fixture
def checkout(healthy: Path, tmp_path: Path) -> Checkout:
    return Checkout(Path(shutil.copytree(healthy, tmp_path / "root", symlinks=True)))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def distribution(site: Path, folder: str, metadata: str) -> None:
    (site / folder).mkdir()
    (site / folder / "METADATA").write_text(metadata)


def relock(checkout: Checkout, old: str, new: str) -> None:
    edit(checkout.root / "env/targets.toml", old, new)
    write_lock(checkout.root)


def forget(checkout: Checkout, name: str) -> None:
    shutil.rmtree(checkout.site / name)
    shutil.rmtree(next(checkout.site.glob(f"{name}-*.dist-info")))


def link(path: Path) -> None:
    away = path.with_name(path.name + "-away")
    path = path.rename(away)
    away.with_name(away.name.removesuffix("-away")).symlink_to(away.name)


def claim_twice(checkout: Checkout) -> None:
    with (checkout.beta / "RECORD").open("a") as file:
        file.write(record_line("alpha/__init__.py", checkout.alpha.read_bytes()))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def drop_line(path: Path, part: str) -> None:
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if part not in line]
    assert len(kept) == len(lines) - 1
    path.write_text("".join(kept))


def remove(checkout: Checkout, *, listed: str, declared: bool) -> None:
    """Remove alpha's module like an image build, with or without listing and declaring it."""
    checkout.alpha.unlink()
    (checkout.prefix / ".removed.json").write_text(listed)
    pattern = "alpha/*" if declared else "*/tests/*"
    (checkout.root / "docker").mkdir()
    (checkout.root / "docker/removals.toml").write_text(REMOVALS.replace("*/tests/*", pattern))


def unhash(checkout: Checkout, new: str) -> None:
    path = checkout.site / "alpha-1.0.dist-info/RECORD"
    line = record_line("alpha/__init__.py", checkout.alpha.read_bytes())
    edit(path, line, new)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


NAMES: dict[str, tuple[Damage, str]] = {
    "an older version": (
        lambda it: edit(it.beta / "METADATA", "Version: 2.0", "Version: 1.9"),
        "beta: locked 2.0 (stage model), found 1.9",
    ),
    "a build of another kind": (
        lambda it: edit(it.beta / "METADATA", "Version: 2.0", "Version: 2.0+cpu"),
        "beta: locked 2.0 (stage model), found 2.0+cpu",
    ),
    "another package under its name": (
        lambda it: edit(it.beta / "METADATA", "Name: beta", "Name: bet4"),
        "bet4: not in the lock, found 2.0",
    ),
    "a package that is missing": (
        lambda it: forget(it, "alpha"),
        "alpha: locked 1.0 (stage base), found nothing",
    ),
    "a package too many": (
        lambda it: distribution(it.site, "Omega-9.dist-info", "Name: Omega\nVersion: 9\n"),
        "omega: not in the lock, found 9",
    ),
    "a package too many, installed the old way": (
        lambda it: (
            (it.site / "omega.egg-info").mkdir(),
            (it.site / "omega.egg-info/PKG-INFO").write_text("Name: omega\nVersion: 9\n"),
        ),
        "omega: not in the lock, found 9",
    ),
    "a package too many, installed the oldest way": (
        lambda it: (it.site / "omega-9.egg-info").write_text("Name: omega\nVersion: 9\n"),
        "omega: not in the lock, found 9",
    ),
    "two versions of one package": (
        lambda it: distribution(it.site, "beta-1.9.dist-info", "Name: beta\nVersion: 1.9\n"),
        "found 1.9 and 2.0",
    ),
    "one version twice": (
        lambda it: distribution(it.site, "BETA-2.0.dist-info", "Name: BETA\nVersion: 2.0\n"),
        "found 2.0 and 2.0",
    ),
    "METADATA missing": (
        lambda it: (it.beta / "METADATA").unlink(),
        "beta: locked 2.0 (stage model), found no metadata",
    ),
    "METADATA without a version": (
        lambda it: edit(it.beta / "METADATA", "Version: 2.0", ""),
        "beta: locked 2.0 (stage model), found no metadata",
    ),
    "METADATA a folder": (
        lambda it: replace_by_folder(it.beta / "METADATA"),
        "beta: locked 2.0 (stage model), found no metadata",
    ),
    "wrong Python": (
        lambda it: relock(it, f'["{PYTHON}"]', '["3.9"]'),
        f"python: locked for 3.9, found {PYTHON}",
    ),
    "wrong platform": (
        lambda it: relock(it, machine().partition("-")[2], "riscv64"),
        "platform: locked for linux-riscv64",
    ),
    "inputs changed after the lock": (
        lambda it: edit(it.root / "env/stages.toml", "==2.0", "==2.1"),
        "lock of cuda: stale",
    ),
    "a slice changed by hand": (
        lambda it: edit(it.lockfiles / "10-base.txt", "1.0", "1.1"),
        "lockfiles/cuda/10-base.txt: was changed: line 3",
    ),
    "a slice of no stage, which the install script would take": (
        lambda it: (it.lockfiles / "30-more.txt").write_text("omega==9\n"),
        "lockfiles/cuda/30-more.txt: belongs to no stage",
    ),
    "the lock of another target": (
        lambda it: edit(it.lockfiles / "lock.json", '"target": "cuda"', '"target": "cud"'),
        "lock.json cannot be read (ValueError: it is the lock of cud)",
    ),
    "a slice missing": (
        lambda it: (it.lockfiles / "20-model.txt").unlink(),
        "lockfiles/cuda/20-model.txt: is missing",
    ),
    "lock.json cut short": (
        lambda it: edit(it.lockfiles / "lock.json", '"wheels"', ""),
        "lock.json cannot be read",
    ),
    "lock.json missing": (
        lambda it: (it.lockfiles / "lock.json").unlink(),
        "lock.json cannot be read",
    ),
}

FILES: dict[str, tuple[Damage, str]] = {
    "a file missing": (
        lambda it: it.alpha.unlink(),
        "alpha, alpha/__init__.py: the file is missing",
    ),
    "one byte changed": (
        lambda it: edit(it.alpha, "1.0", "1.1"),
        "alpha, alpha/__init__.py: the file was changed: its sha256",
    ),
    "a byte added": (
        lambda it: append(it.alpha, "\n"),
        "alpha, alpha/__init__.py: the file was changed: 17 bytes, RECORD has 16",
    ),
    "a file emptied": (
        lambda it: it.alpha.write_text(""),
        "alpha, alpha/__init__.py: the file was changed: 0 bytes",
    ),
    "METADATA changed past name and version": (
        lambda it: append(it.beta / "METADATA", "Requires-Dist: omega\n"),
        "beta, beta-2.0.dist-info/METADATA: the file was changed",
    ),
    "RECORD missing": (lambda it: (it.beta / "RECORD").unlink(), "beta: RECORD is missing"),
    "RECORD empty": (
        lambda it: (it.beta / "RECORD").write_text(""),
        "beta: RECORD cannot be read (it is empty)",
    ),
    "RECORD cut short": (
        lambda it: edit(it.beta / "RECORD", "beta-2.0.dist-info/RECORD,,\n", "beta-2.0.dis"),
        "beta: RECORD cannot be read (line 4 has 1 fields, not 3)",
    ),
    "RECORD not text": (
        lambda it: (it.beta / "RECORD").write_bytes(b"\xff\xfe,,\n"),
        "beta: RECORD cannot be read",
    ),
    "RECORD with an open quote": (
        lambda it: (it.beta / "RECORD").write_text('"beta/__init__.py,,\n'),
        "beta: RECORD cannot be read",
    ),
    "RECORD without a line": (
        lambda it: drop_line(it.beta / "RECORD", "beta/__init__.py"),
        "beta/__init__.py: a file that no package lists",
    ),
    "RECORD with another hash": (
        lambda it: unhash(it, record_line("alpha/__init__.py", b"version = '1.1'\n")),
        "alpha, alpha/__init__.py: the file was changed",
    ),
    "RECORD without a hash": (
        lambda it: unhash(it, "alpha/__init__.py,,\n"),
        "alpha, alpha/__init__.py: RECORD has no hash for it",
    ),
    "RECORD with a weak hash": (
        lambda it: unhash(it, "alpha/__init__.py,md5=AAAA,16\n"),
        "alpha, alpha/__init__.py: RECORD has a md5 hash",
    ),
    "RECORD reaching out of the environment": (
        lambda it: unhash(it, "../../../../../../etc/passwd,,\n"),
        "RECORD lists a file outside",
    ),
    "a file claimed by two": (claim_twice, "listed by more than one package: alpha and beta"),
    "a file that is a link": (
        lambda it: link(it.alpha),
        "alpha, alpha/__init__.py: a symbolic link",
    ),
    "a package that is a link": (
        lambda it: link(it.alpha.parent),
        "alpha: a symbolic link that no",
    ),
    "a file that is a folder": (
        lambda it: replace_by_folder(it.alpha),
        "alpha, alpha/__init__.py: not a regular file",
    ),
    "code that runs at start": (
        lambda it: (it.site / "start.pth").write_text("import os\n"),
        "start.pth: a file that no package lists",
    ),
    "a module that hides a package": (
        lambda it: (it.site / "alpha.py").write_text(""),
        "alpha.py: a file that no package lists",
    ),
    "a compiled module of a source that is gone": (
        lambda it: (
            (it.site / "alpha/__pycache__").mkdir(),
            (it.site / f"alpha/__pycache__/more.{sys.implementation.cache_tag}.pyc").touch(),
        ),
        "pyc: a file that no package lists",
    ),
    "a compiled module in place of its source": (
        lambda it: (it.site / "alpha/more.pyc").write_bytes(b""),
        "more.pyc: a file that no package lists",
    ),
    "a removal listed and not declared": (
        lambda it: remove(it, listed='["alpha/__init__.py"]', declared=False),
        "alpha/__init__.py: was removed, but docker/removals.toml does not declare that",
    ),
    "a removal declared and not listed": (
        lambda it: remove(it, listed="[]", declared=True),
        "alpha, alpha/__init__.py: the file is missing",
    ),
    "a list of removals that is none": (
        lambda it: remove(it, listed='{"alpha": 1}', declared=True),
        ".removed.json: cannot be read (not an array of paths)",
    ),
    "a damaged declaration of removals": (
        lambda it: (
            remove(it, listed='["alpha/__init__.py"]', declared=True),
            append(it.root / "docker/removals.toml", "[["),
        ),
        "removals.toml: cannot be read",
    ),
}


@pytest.mark.parametrize("damage", NAMES)
def test_verify_names_it(checkout: Checkout, damage: str) -> None:
    harm, message = NAMES[damage]
    harm(checkout)
    done = checkout.verify()
    assert done.returncode == 3, done.stderr
    assert message in done.stderr
    assert "→" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("damage", FILES)
def test_verify_files_names_it(checkout: Checkout, damage: str) -> None:
    harm, message = FILES[damage]
    harm(checkout)
    done = checkout.verify("--files")
    assert done.returncode == 3, done.stdout + done.stderr
    assert message in done.stderr
    assert "→" in done.stderr


def test_what_is_not_damaged_passes(checkout: Checkout) -> None:
    for arguments in ((), ("--files",)):
        done = checkout.verify(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("verified: cuda, 3 packages")


def test_harmless_things_pass(checkout: Checkout) -> None:
    remove(checkout, listed='["alpha/__init__.py"]', declared=True)
    compiled = checkout.site / "beta/__pycache__"
    compiled.mkdir()
    for tag in ("", ".opt-1", "-pytest-8.4.2"):
        (compiled / f"__init__.{sys.implementation.cache_tag}{tag}.pyc").write_bytes(b"")
    done = checkout.verify("--files")
    assert (done.returncode, done.stderr) == (0, "")


def test_each_of_several_is_told_to_a_program(checkout: Checkout) -> None:
    edit(checkout.beta / "METADATA", "Version: 2.0", "Version: 1.9")
    checkout.alpha.unlink()
    done = checkout.verify("--files", "--json")
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert (told["target"], told["verified"], told["files"]) == ("cuda", False, True)
    subjects = [one["subject"] for one in told["findings"]]
    assert subjects == ["beta", "alpha, alpha/__init__.py", "beta, beta-2.0.dist-info/METADATA"]
    assert all(one["problem"] and one["remedy"] for one in told["findings"])


def test_an_unknown_target_is_bad_usage(checkout: Checkout) -> None:
    done = checkout.verify("--target", "cud")
    assert (done.returncode, done.stdout) == (2, "")
    assert "use cuda" in done.stderr
