"""Damage locks: `check` names each fault and exits with 1; `order` finds the faults of an install."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from checkout import PYTHON, write_lock, write_wheel

from paperlora.environment.core import lock as locks
from paperlora.environment.locks import check, order
from paperlora.errors import FindingsError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    Damage = Callable[[Path], object]

BASE, MODEL, LOCK = (
    f"lockfiles/cuda/{name}" for name in ("10-base.txt", "20-model.txt", "lock.json")
)
DIGEST = "0" * 64


@pytest.fixture
def whole(inputs: Path) -> Path:
    """A checkout without any fault."""
    path = inputs / "env/stages.toml"
    path.write_text(re.sub(r"\n.*name = \"uv\".*", "", path.read_text()))
    write_lock(inputs)
    tools = f"# Generated\nuv==0.9 \\\n    --hash=sha256:{DIGEST}\nnox==1 \\\n    --hash=sha256:{DIGEST}\n"
    (inputs / "lockfiles/tools.txt").write_text(tools)
    (inputs / "docker").mkdir()
    (inputs / "docker/Dockerfile").write_text(
        "RUN install.sh --stage base\nRUN install.sh --stage model # 20-model.txt\n"
    )
    return inputs


def text(file: str, old: str, new: str) -> Damage:
    """Replace text in a file."""

    def damage(root: Path) -> None:
        path = root / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return damage


def pattern(file: str, old: str, new: str) -> Damage:
    """Replace the first match of a pattern in a file."""

    def damage(root: Path) -> None:
        path = root / file
        changed = re.sub(old, new, path.read_text(), count=1)
        assert changed != path.read_text()
        path.write_text(changed)

    return damage


def locked(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change lock.json and render its slices again, like a faulty `nox -s lock`."""

    def damage(root: Path) -> None:
        path = root / LOCK
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))
        lock = locks.load("cuda", root=root)
        for part in lock.slices:
            (root / "lockfiles/cuda" / part.file).write_text(locks.slice_text(lock, part))

    return damage


def packages(document: dict[str, Any], stage: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["slices"][stage]["packages"]
    return found


def move(name: str, start: int, end: int) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        (one,) = (p for p in packages(document, start) if p["name"] == name)
        packages(document, start).remove(one)
        packages(document, end).append(one)

    return change


def put(stage: int, place: int, key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: packages(document, stage)[place].update({key: value})


def swap(document: dict[str, Any]) -> None:
    document["slices"].reverse()


def both(document: dict[str, Any]) -> None:
    packages(document, 1).append(packages(document, 0)[0])


def colab(root: Path) -> None:
    """Make cuda a Colab target, with a lock that ignores that the runtime has alpha."""
    path = root / "env/targets.toml"
    path.write_text(path.read_text().replace("[target.cuda]", "[target.cuda]\ncolab = true"))
    write_lock(root)


def protected(root: Path) -> None:
    path = root / "env/targets.toml"
    path.write_text('protected = ["bet*"]\n' + path.read_text())
    colab(root)


def expected_of_the_runtime(root: Path) -> None:
    colab(root)
    locked(lambda document: document.update(provided={"alpha": "1.1"}))(root)


FAULTS: dict[str, tuple[Damage, str]] = {
    "another requirement": (
        text("env/stages.toml", "==2.0", "==2.1"), "lock of cuda: stale"),
    "another cutoff": (text("env/targets.toml", "2026-01", "2026-02"), "lock of cuda: stale"),
    "another runtime commit": (
        text("env/colab/r1.toml", "c0ffee", "decaf"), "lock of cuda: stale"),
    "a stage renamed": (
        text("env/stages.toml", 'name = "model"', 'name = "models"'),
        "its stages are 10-base 20-model, env/stages.toml has 10-base 20-models"),
    "no lock": (lambda root: (root / LOCK).unlink(), "lock.json cannot be read"),
    "a truncated lock": (
        lambda root: (root / LOCK).write_text((root / LOCK).read_text()[:400]),
        "lock.json cannot be read"),
    "a slice missing": (lambda root: (root / MODEL).unlink(), "20-model.txt: is missing"),
    "a slice truncated": (
        lambda root: (root / MODEL).write_text((root / MODEL).read_text().partition("gamma")[0]),
        "20-model.txt: was changed: line 5"),
    "a slice emptied": (
        lambda root: (root / BASE).write_text(""), "10-base.txt: was changed: line 1"),
    "a pin tampered with": (
        text(MODEL, "beta==2.0", "beta==2.0.1"), "20-model.txt: was changed: line 3"),
    "a pin loosened": (text(MODEL, "beta==2.0", "beta>=2.0"), "20-model.txt: was changed: line 3"),
    "a hash altered": (
        pattern(MODEL, r"sha256:[0-9a-f]{8}", "sha256:00000000"), "20-model.txt: was changed: line 4"),
    "a hash cut short": (
        pattern(MODEL, r"(sha256:[0-9a-f]{60})....", r"\1"), "20-model.txt: was changed: line 4"),
    "a hash missing": (
        pattern(MODEL, r" \\\n    --hash=sha256:[0-9a-f]+", ""), "20-model.txt: was changed: line 3"),
    "a duplicate pin": (
        lambda root: (root / BASE).write_text((root / BASE).read_text() * 2),
        "10-base.txt: was changed: line 5"),
    "a foreign pin": (
        lambda root: (root / BASE).write_text((root / BASE).read_text() + "evil==1\n"),
        "10-base.txt: was changed: line 5"),
    "a pin behind a comment that ends in a backslash": (
        text(BASE, "installs it.", "installs it. \\\nevil==1"), "10-base.txt: was changed: line 2"),
    "the line ends of another system": (
        lambda root: (root / BASE).write_bytes((root / BASE).read_bytes().replace(b"\n", b"\r\n")),
        "10-base.txt: was changed: line 1"),
    "a marker added": (
        text(MODEL, "gamma==3.0", "gamma==3.0 ; python_version == '3.2'"),
        "20-model.txt: was changed: line 5"),
    "a marker changed in the lock alone": (
        text(LOCK, f'"python": [\n      "{PYTHON}"\n     ]', '"python": ["3.2"]'),
        "10-base.txt: was changed: line 3"),
    "a hand-written slice": (
        pattern(BASE, "^# Generated", "# Written"), "10-base.txt: was changed: line 1"),
    "a slice of no stage": (
        lambda root: shutil.copy(root / BASE, root / "lockfiles/cuda/30-more.txt"),
        "30-more.txt: belongs to no stage"),
    "two stages swapped": (
        locked(swap), "its stages are 20-model 10-base, env/stages.toml has 10-base 20-model"),
    "a package in a later stage than its user": (
        locked(move("alpha", 0, 1)), "alpha: cuda, stage base"),
    "a requirement that comes later": (
        locked(put(0, 0, "requires", ["gamma"])),
        "alpha: cuda, stage base, Python " + PYTHON + ": requires gamma, which comes later, in stage model"),
    "a package left out": (
        locked(lambda document: packages(document, 1).pop(1)),
        "beta: cuda, stage model, Python " + PYTHON + ": requires gamma>=3, which no stage has"),
    "a version that its user refuses": (
        locked(put(0, 0, "version", "2.0")), "requires alpha<2,>=1, locked 2.0"),
    "an extra that is not locked": (
        locked(put(1, 1, "requires", ["beta[more]"])), "beta: cuda, stage model"),
    "a version that was not asked for": (
        locked(put(1, 0, "version", "1.9")), "asked for as beta==2.0, locked 1.9"),
    "a package in two stages": (
        locked(both), "alpha: cuda has it in stage base and in stage model"),
    "a package without files": (
        locked(put(1, 1, "wheels", [])), "gamma: cuda, stage model: it is not a pin with hashes"),
    "a hash cut short in the lock itself": (
        locked(put(1, 1, "wheels", [{"file": "x", "sha256": "0" * 60, "size": 1}])),
        "gamma: cuda, stage model: it is not a pin with hashes"),
    "a version that renders a marker": (
        locked(put(1, 1, "version", "3.0 ; python_version == '3.2'")),
        ": it is not a pin with hashes"),
    "a package for another Python": (
        locked(put(1, 1, "requires_python", ">=3.99")), "gamma: cuda, stage model: needs Python >=3.99"),
    "the runtime's own package locked again": (colab, "alpha: cuda, stage base: the runtime has 1.0 already"),
    "a Colab target by another name": (colab, "cuda: env/install.sh recognises a Colab target by its name"),
    "a protected package changed": (
        protected,
        "beta: cuda, stage model: 2.0 is locked, but the runtime's own version is protected"),
    "a runtime that changed": (expected_of_the_runtime, "alpha: cuda: expected 1.1, the runtime has 1.0+cu1"),
    "no lock of the tools": (
        lambda root: (root / "lockfiles/tools.txt").unlink(), "tools.txt: is missing"),
    "another tool than asked for": (
        text("lockfiles/tools.txt", "uv==0.9", "uv==0.8"), "lacks uv==0.9"),
    "a tool without a hash": (
        text("lockfiles/tools.txt", f"nox==1 \\\n    --hash=sha256:{DIGEST}", "nox==1"),
        "tools.txt: line 4 does not begin a pin with hashes"),
    "a tool behind a comment that ends in a backslash": (
        text("lockfiles/tools.txt", "# Generated", "# Generated \\\nevil==1"),
        "tools.txt: line 1 does not begin a pin with hashes"),
    "the image's stages out of order": (
        lambda root: (root / "docker/Dockerfile").write_text("--stage model\n--stage base\n"),
        "docker/Dockerfile: has stage base after model"),
    "an image with a stage of its own": (
        text("docker/Dockerfile", "--stage model", "--stage extra"),
        "docker/Dockerfile: names stage extra"),
    "an image without a stage": (
        text("docker/Dockerfile", "RUN install.sh --stage model # 20-model.txt\n", ""),
        "docker/Dockerfile: does not install stage model"),
    "an image whose stage is only a comment": (
        text("docker/Dockerfile", "RUN install.sh --stage model", "# RUN install.sh --stage model"),
        "docker/Dockerfile: does not install stage model"),
    "a script that names an old slice": (
        lambda root: (root / "noxfile.py").write_text('call("lockfiles/cuda/20-models.txt")'),
        "noxfile.py: names stage models"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_check_names_each_fault_with_code_1(
    whole: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, said = FAULTS[fault]
    damage(whole)
    with pytest.raises(FindingsError) as caught:
        check.run(root=whole)
    printed = capsys.readouterr().out
    assert said in printed
    assert caught.value.code == 1
    assert all(" → " in line for line in printed.splitlines())


def test_the_undamaged_lock_passes(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check.run(root=whole)
    assert capsys.readouterr().out.startswith("checked: cuda: 3 pins")


def test_the_locks_that_ship_pass() -> None:
    assert check.findings(root=ROOT) == []


def test_a_comment_names_no_stage(whole: Path) -> None:
    (whole / "docker/Dockerfile").write_text(
        "# --stage nowhere\nRUN x --stage base\nRUN x --stage model\n"
    )
    assert check.findings(root=whole) == []


UV = shutil.which("uv", path=str(Path(sys.executable).parent))


@pytest.fixture
def offline(whole: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same checkout, with its own wheels as the only package index."""
    monkeypatch.setenv("PAPERLORA_TOOLS", str(Path(str(UV)).parent))
    for name, value in {"OFFLINE": "1", "NO_INDEX": "1", "FIND_LINKS": whole / "wheels"}.items():
        monkeypatch.setenv(f"UV_{name}", str(value))
    return whole


def downgrading(root: Path) -> None:
    """Make stage model install alpha 0.9 after stage base installed 1.0."""
    wheel = write_wheel(root / "wheels", "alpha", "0.9")
    row = {"name": "alpha", "version": "0.9", "python": [PYTHON], "wheels": [vars(wheel)]}
    row |= {"requires": [], "requires_python": ""}
    locked(lambda document: packages(document, 1).append(row))(root)


def clashing(root: Path) -> None:
    """Put a file of alpha with other content into gamma."""
    wheel = write_wheel(
        root / "wheels", "gamma", "3.0", also={"alpha/__init__.py": "version = 'x'\n"}
    )
    locked(put(1, 1, "wheels", [vars(wheel)]))(root)


ORDER_FAULTS: dict[str, tuple[Damage, list[str]]] = {
    "two stages swapped": (
        locked(lambda d: (move("alpha", 0, 1)(d), move("beta", 1, 0)(d))),
        ["beta: stage base: requires alpha<2,>=1, found nothing", "the probe of stage base fails"]),
    "a pin tampered with": (
        lambda root: (
            write_wheel(root / "wheels", "beta", "1.9"),
            pattern(MODEL, r"beta==2.0 \\\n    --hash=sha256:[0-9a-f]+",
                    f"beta==1.9 --hash=sha256:{write_wheel(root / 'wheels', 'beta', '1.9').sha256}")(root),
        ),
        ["beta: stage model installs 2.0, found 1.9"]),
    "a hash altered": (
        pattern(MODEL, r"sha256:[0-9a-f]{8}", "sha256:00000000"),
        ["20-model.txt: ", "Hash mismatch for `beta==2.0`"]),
    "a package left out": (
        lambda root: (root / MODEL).write_text((root / MODEL).read_text().partition("gamma")[0]),
        ["gamma: stage model installs 3.0, found nothing"]),
    "a downgrade": (
        downgrading,
        ["alpha: stage model installs it again, an earlier stage installed 1.0",
         "beta: stage model: requires alpha<2,>=1, found 0.9"]),
    "a file of two packages": (clashing, ["it belongs to alpha and gamma", "changed this file of alpha"]),
    "metadata that the lock does not have": (
        locked(put(1, 0, "requires", ["alpha"])),
        ["beta: stage model: its wheel has other requirements than the lock"]),
    "a probe that fails": (
        text("env/stages.toml", 'probe = "import alpha, beta"', 'probe = "import omega"'),
        ["model: the probe of stage model fails: ModuleNotFoundError: No module named 'omega'"]),
}  # fmt: skip


@pytest.mark.skipif(UV is None, reason="this environment has no uv")
@pytest.mark.parametrize("fault", ORDER_FAULTS)
def test_order_finds_each_fault_and_names_it(
    offline: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, said = ORDER_FAULTS[fault]
    damage(offline)
    with pytest.raises(FindingsError, match="does not only add its packages") as caught:
        order.run("cuda", root=offline)
    printed = capsys.readouterr().out
    for one in said:
        assert one in printed
    assert caught.value.code == 1
    assert not (offline / ".envs/order-cuda").exists()


@pytest.mark.skipif(UV is None, reason="this environment has no uv")
def test_stages_that_append_pass_and_the_environment_is_kept_where_asked(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order.run("cuda", root=offline, keep=offline / "kept")
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "10-base.txt",
        "20-model.txt",
    ]
    assert (offline / "kept/bin/python").exists()
