"""Run env/install.sh with the real uv, offline, on a checkout with generated packages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from checkout import write_files, write_wheel

from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.files import ROOT

UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.defpath]))
pytestmark = pytest.mark.skipif(UV is None, reason="this environment has no uv")

# Writes down each call and runs uv; with HANG_AT it hangs at a call that has this text.
WRAPPER = """#!/bin/sh
printf '%s\\n' "$*" >>"{log}"
case "$*" in *"$HANG_AT"*) [ -z "$HANG_AT" ] || {{ touch "{log}.hangs"; exec sleep 30; }} ;; esac
exec "{uv}" "$@"
"""


class Checkout:
    """A checkout that can be installed, and the arguments of each call of its uv."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.prefix = root / ".envs/cuda"
        self.log = root / "uv.log"
        shutil.copytree(ROOT / "src/paperlora/environment", root / "src/paperlora/environment")
        for name in ("__init__.py", "errors.py", "files.py", "process.py"):
            shutil.copy(ROOT / "src/paperlora" / name, root / "src/paperlora" / name)
        shutil.copy(ROOT / "env/install.sh", root / "env/install.sh")
        wrapper = root / "tools/uv"
        wrapper.parent.mkdir()
        wrapper.write_text(WRAPPER.format(log=self.log, uv=UV))
        wrapper.chmod(0o755)

    def environment(self, hang_at: str = "") -> dict[str, str]:
        return {
            "HOME": str(self.root),
            "PATH": os.environ["PATH"],
            "PAPERLORA_TOOLS": str(self.root / "tools"),
            "UV_OFFLINE": "1",
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": str(self.root / "wheels"),
            "HANG_AT": hang_at,
        }

    def command(self, *arguments: str) -> list[str]:
        return ["bash", str(self.root / "env/install.sh"), "--python", sys.executable, *arguments]

    def install(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.log.unlink(missing_ok=True)
        command = self.command(*arguments)
        environment = self.environment()
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def slices(self) -> list[str]:
        """Return the slices that uv installed, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.rsplit("/", 1)[1] for line in lines if line.startswith("pip install")]

    def site(self) -> Path:
        (folder,) = self.prefix.glob("lib/python3*/site-packages")
        return folder


@pytest.fixture
def checkout(locked: Path) -> Checkout:
    return Checkout(locked)


def test_two_at_once_install_in_order_and_once(checkout: Checkout) -> None:
    children = [
        subprocess.Popen(checkout.command(), env=checkout.environment(), stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = b"".join(child.communicate()[1] for child in children).decode()
    assert [child.returncode for child in children] == [0, 0], said
    assert checkout.slices() == ["10-base.txt", "20-model.txt"]
    assert [line for line in said.splitlines() if "done in" not in line and "stage" in line] == [
        "stage 1/2 base …",
        "stage 2/2 model …",
    ]
    assert "3.0 MB on disk" in said
    assert "waiting for another install" in said
    # With nothing to do it prints nothing and does not call uv.
    again = checkout.install()
    assert (again.returncode, again.stderr, checkout.log.exists()) == (0, "", False)
    # An install cannot repair a lock that does not match env/.
    path = checkout.root / "env/stages.toml"
    path.write_text(path.read_text().replace("==2.0", "==2.1"))
    stale = checkout.install()
    assert (stale.returncode, checkout.log.exists()) == (3, False)
    assert "lock of cuda: stale" in stale.stderr


def test_a_stage_goes_only_as_far_as_asked_and_the_rest_follows(checkout: Checkout) -> None:
    assert checkout.install("--stage", "base").returncode == 0
    assert checkout.slices() == ["10-base.txt"]
    assert not (checkout.site() / "beta").exists()
    assert checkout.install().returncode == 0
    assert checkout.slices() == ["20-model.txt"]
    assert checkout.install("--stage", "base").returncode == 0
    assert (checkout.site() / "beta").exists()


def test_a_probe_that_fails_stops_before_the_next_stage(checkout: Checkout) -> None:
    path = checkout.root / "env/stages.toml"
    whole = path.read_text()
    path.write_text(whole.replace('probe = "import alpha"', 'probe = "import omega"'))
    done = checkout.install()
    assert done.returncode == 3
    assert "probe of base: ModuleNotFoundError" in done.stderr
    assert "stage base is installed but does not work" in done.stderr
    assert checkout.slices() == ["10-base.txt"]
    path.write_text(whole)
    assert checkout.install().returncode == 0
    assert checkout.slices() == ["10-base.txt", "20-model.txt"]


def test_an_interrupted_stage_is_resumed(checkout: Checkout) -> None:
    environment = checkout.environment(hang_at="20-model.txt")
    with subprocess.Popen(
        checkout.command(), env=environment, start_new_session=True, stderr=subprocess.PIPE
    ) as child:
        until = time.monotonic() + 20
        while not Path(f"{checkout.log}.hangs").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGINT)
        said = child.communicate()[1].decode()
    assert child.returncode == 130
    assert said.splitlines()[-1] == "interrupted → run this again; finished stages are kept"
    assert not (checkout.site() / "beta").exists()
    assert checkout.install("--unless-stamped").returncode == 0
    assert checkout.slices() == ["20-model.txt"]
    # Cut off between two files, uv would take the package for installed by its dist-info.
    (checkout.prefix / ".stages/20-model").write_text("begun\n")
    (checkout.site() / "alpha/__init__.py").unlink()
    done = checkout.install()
    assert done.returncode == 0
    assert "alpha 1.0 lacks alpha/__init__.py" in done.stderr
    assert (checkout.site() / "alpha/__init__.py").exists()


def test_a_changed_environment_is_repaired(checkout: Checkout) -> None:
    assert checkout.install().returncode == 0
    site = checkout.site()
    write_wheel(checkout.root / "wheels", "beta", "1.9")
    write_wheel(checkout.root / "wheels", "omega", "9")
    assert UV is not None
    change = [UV, "pip", "install", "-qp", str(checkout.prefix), "beta==1.9", "omega"]
    subprocess.run(change, env=checkout.environment(), check=True)
    shutil.rmtree(site / "alpha-1.0.dist-info")
    assert checkout.install("--unless-stamped").returncode == 0  # the stamps do not show it
    done = checkout.install()
    assert done.returncode == 0, done.stderr
    for line in ("alpha: locked 1.0", "beta: locked 2.0", "omega: not in the lock"):
        assert line in done.stderr
    assert sorted(path.name for path in site.glob("*.dist-info")) == [
        "alpha-1.0.dist-info",
        "beta-2.0.dist-info",
        "gamma-3.0.dist-info",
    ]
    assert not (site / "omega").exists()


def test_a_wheel_that_is_not_the_locked_one_is_refused(checkout: Checkout) -> None:
    with zipfile.ZipFile(checkout.root / "wheels/beta-2.0-py3-none-any.whl", "a") as wheel:
        wheel.writestr("beta/extra.py", "import os")
    done = checkout.install()
    assert done.returncode == 4
    assert "Hash mismatch for `beta==2.0`" in done.stderr
    assert "stage model could not be installed" in done.stderr
    assert not (checkout.site() / "beta").exists()


def test_a_folder_that_holds_something_else_is_left_alone(checkout: Checkout) -> None:
    mine = checkout.root / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("x")
    done = checkout.install("--prefix", str(mine))
    assert done.returncode == 2
    assert "mine is not an environment and not empty" in done.stderr
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "x"], "no lock for target x"),
        (["--stage", "x"], "target cuda has no stage x"),
        (["--stage"], "--stage needs a value"),
        (["--what"], "unknown argument --what"),
        (["--prefix", "/proc/x"], "cannot write into the folder of /proc/x"),
    ],
)
def test_usage_errors_are_one_line_and_code_2(
    checkout: Checkout, arguments: list[str], said: str
) -> None:
    done = checkout.install(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def colab(checkout: Checkout, name: str, alpha: str) -> None:
    """Add a Colab target whose runtime has ``alpha`` and an older beta."""
    root = checkout.root
    row = (
        (root / "env/targets.toml").read_text().partition("[target.cuda]")[2].partition("[tools")[0]
    )
    runtime = f"r-{name}"
    with (root / "env/targets.toml").open("a") as file:
        file.write(f"\n[target.colab-{name}]\ncolab = true" + row.replace('"r1"', f'"{runtime}"'))
    facts = (root / "env/colab/r1.toml").read_text().replace("1.0+cu1", f"{alpha}+cu1")
    (root / f"env/colab/{runtime}.toml").write_text(facts)
    base, model = locks.load("cuda", root=root).slices
    lock = replace(
        locks.load("cuda", root=root),
        target=f"colab-{name}",
        input_digest=targets.load(f"colab-{name}", root=root).input_digest,
        runtime=runtime,
        provided={"alpha": f"{alpha}+cu1"},
        slices=(replace(base, packages=()), model),
    )
    write_files(root, lock)


@pytest.fixture
def runtime(checkout: Checkout) -> list[str]:
    """Make an environment like a Colab runtime; return the arguments that install into it."""
    colab(checkout, "old", "1.0")
    colab(checkout, "new", "1.1")
    checkout.prefix = checkout.root / "usr"
    write_wheel(checkout.root / "wheels", "beta", "1.5")
    write_wheel(checkout.root / "wheels", "omega", "9")
    assert UV is not None
    python = ["--python", str(checkout.prefix)]
    for command in (
        ["venv", "--python", sys.executable, str(checkout.prefix)],
        ["pip", "install", *python, "alpha==1.0", "beta==1.5", "omega"],
    ):
        environment = checkout.environment()
        subprocess.run([UV, "-q", *command], env=environment, check=True)
    return ["--prefix", str(checkout.prefix)]


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_a_colab_runtime_gets_what_it_lacks_and_keeps_the_rest(
    checkout: Checkout, runtime: list[str]
) -> None:
    site = checkout.site()
    before = {**state(site / "alpha"), **state(site / "omega")}
    done = checkout.install("--target", "colab-old", *runtime)
    assert done.returncode == 0, done.stderr
    assert checkout.slices() == ["20-model.txt"]
    assert "restart the session" in done.stderr
    assert {**state(site / "alpha"), **state(site / "omega")} == before
    assert sorted(path.name for path in site.glob("*.dist-info")) == [
        "alpha-1.0.dist-info",
        "beta-2.0.dist-info",
        "gamma-3.0.dist-info",
        "omega-9.dist-info",
    ]
    again = checkout.install("--target", "colab-old", *runtime)
    assert (again.returncode, again.stderr, checkout.log.exists()) == (0, "", False)


def test_another_runtime_than_the_locked_one_is_named_and_left_alone(
    checkout: Checkout, runtime: list[str]
) -> None:
    before = state(checkout.site())
    done = checkout.install("--target", "colab-new", *runtime)
    assert done.returncode == 3
    assert "this is Colab's runtime r-old, and colab-new is locked for r-new" in done.stderr
    assert "use --target colab-old, or pick r-new" in done.stderr
    shutil.rmtree(checkout.site() / "alpha-1.0.dist-info")
    done = checkout.install("--target", "colab-new", *runtime)
    assert done.returncode == 3
    assert "not Colab's runtime r-new: packages that differ from it: 1, such as" in done.stderr
    assert "alpha 1.1+cu1 (found none)" in done.stderr
    assert not checkout.log.exists() or checkout.slices() == []
    assert {path: seen for path, seen in before.items() if "alpha-1.0.dist" not in path} == state(
        checkout.site()
    )


def test_a_stage_may_be_named_by_its_number_and_bytecode_made_at_once(checkout: Checkout) -> None:
    assert checkout.install("--stage", "10", "--compile").returncode == 0
    assert checkout.slices() == ["10-base.txt"]
    assert list((checkout.site() / "alpha").rglob("*.pyc"))
