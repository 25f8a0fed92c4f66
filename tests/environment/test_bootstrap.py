from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from checkout import PYTHON, write_wheel

from paperlora.environment.core import target as targets
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

# A module loaded from its file has no type that a checker knows.
Module: TypeAlias = Any

SOURCE = ROOT / "env/bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path) -> Module:
    """Return env/bootstrap.py as a module, in a temporary checkout."""
    (tmp_path / "env").mkdir()
    (tmp_path / "lockfiles").mkdir()
    path = shutil.copy(SOURCE, tmp_path / "env/bootstrap.py")
    spec = importlib.util.spec_from_file_location("bootstrap", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "lockfiles/tools.txt").write_text("# nothing\n")
    return module


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes an executable shell script."""

    def write(path: str, body: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
        return file

    return write


def test_supported_pythons_are_those_of_the_target(bootstrap: Module) -> None:
    assert targets.load("cuda").python == bootstrap.SUPPORTED


def test_a_broken_shim_and_a_liar_are_passed_over(
    bootstrap: Module,
    script: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    shim = script(f"shims/python{PYTHON}", "echo 'pyenv: not installed' >&2; exit 127")
    liar = script(f"liar/python{PYTHON}", "echo 2.7 True /x/python")
    hollow = script(f"hollow/python{PYTHON}", "echo 'No module named ssl' >&2; exit 1")
    good = script(f"good/python{PYTHON}", f'exec "{sys.executable}" "$@"')
    folders = [str(path.parent) for path in (shim, liar, hollow, good)]
    monkeypatch.setenv("PATH", os.pathsep.join(["relative", "", *folders]))
    assert [bootstrap.answer(path, PYTHON) for path in (shim, liar, hollow)] == ["", "", ""]
    assert bootstrap.answer(good, PYTHON) == sys.executable
    assert bootstrap.answer(good, "2.7") == ""
    assert bootstrap.find(PYTHON) == sys.executable
    assert good in list(bootstrap.candidates(PYTHON))
    # pyenv's own folder is looked into as well, newest first, shims or no shims
    monkeypatch.setenv("PATH", folders[0])
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    script(f"pyenv/versions/{PYTHON}.1/bin/python", "exit 1")
    script(f"pyenv/versions/{PYTHON}.2/bin/python", f'exec "{sys.executable}" "$@"')
    found = [path.parent.parent.name for path in bootstrap.candidates(PYTHON)]
    assert found.index(f"{PYTHON}.2") < found.index(f"{PYTHON}.1")
    assert bootstrap.find(PYTHON) == sys.executable


def test_the_tool_environment_is_nothing_to_build_on(
    bootstrap: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{bootstrap.ENVIRONMENTS}/tools-1/bin{os.pathsep}/other")
    found = list(bootstrap.candidates(PYTHON))
    assert found[0] == Path("/other") / f"python{PYTHON}"
    assert not any("tools-1" in str(path) for path in found)


def test_an_old_python_is_refused_in_one_line(bootstrap: Module) -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 8, 18); sys.version = '3.8.18 (x)';"
        f"runpy.run_path({str(bootstrap.__file__)!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", code, "tools"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr == "paperlora needs Python 3.9 or later to start; this is 3.8.18\n"


def finished_tools(bootstrap: Module, script: Callable[[str, str], Path], uv: str) -> Path:
    folder: Path = bootstrap.folder_for(PYTHON)
    name = folder.relative_to(bootstrap.ROOT)
    script(f"{name}/bin/python", "exit 0")
    script(f"{name}/bin/uv", uv)
    (folder / ".complete").touch()
    return folder


def test_without_a_python_uv_fetches_one(
    bootstrap: Module,
    script: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    fetched = tmp_path / "fetched"
    finished_tools(bootstrap, script, f'[ "$*" = "python install 3.12" ] && touch "{fetched}"')
    monkeypatch.setattr(bootstrap, "find", lambda v: f"/new/{v}" if fetched.exists() else "")
    assert bootstrap.python() == "/new/3.12"
    assert "uv downloads Python 3.12" in capsys.readouterr().err


def test_without_a_python_and_without_a_network_it_says_what_to_install(
    bootstrap: Module,
    script: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    finished_tools(bootstrap, script, "exit 2")
    monkeypatch.setattr(bootstrap, "find", lambda _: "")
    with pytest.raises(SystemExit) as caught:
        bootstrap.python()
    assert caught.value.code == 2
    assert "→ install it (apt-get install python3.12" in capsys.readouterr().err


def test_a_tool_environment_counts_only_when_finished_and_alive(
    bootstrap: Module, script: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished_tools(bootstrap, script, "")
    made: list[str] = []

    def make() -> Path:
        made.append("made")
        return folder

    monkeypatch.setattr(bootstrap, "make", make)
    assert bootstrap.tools() == str(folder / "bin")
    assert made == []
    (folder / ".complete").unlink()
    bootstrap.tools()
    assert made == ["made"]
    (folder / ".complete").touch()
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to("/no/such/python")
    bootstrap.tools()
    assert made == ["made", "made"]


def test_another_list_of_tools_is_another_environment(bootstrap: Module) -> None:
    before = bootstrap.folder_for("3.12")
    assert bootstrap.folder_for("3.11") != before
    bootstrap.TOOLS_LOCK.write_text("# something\n")
    assert bootstrap.folder_for("3.12") != before


def test_without_ensurepip_another_python_is_taken_or_the_package_is_named(
    bootstrap: Module,
    script: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bare = str(script("bare/python", "exit 1"))
    whole = str(script("whole/python", "exit 0"))
    monkeypatch.setattr(bootstrap.sys, "executable", bare)
    monkeypatch.setattr(bootstrap, "find", lambda version: whole if version == "3.10" else "")
    assert bootstrap.maker() == (whole, "3.10")
    monkeypatch.setattr(bootstrap, "find", lambda _: bare)
    with pytest.raises(SystemExit) as caught:
        bootstrap.maker()
    assert caught.value.code == 2
    assert "apt-get install python3-venv" in capsys.readouterr().err


def test_without_ensurepip_a_pip_of_its_own_serves(
    bootstrap: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = bootstrap.sys.executable
    monkeypatch.setattr(bootstrap, "has", lambda path, module: (path, module) == (own, "pip"))
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "run", lambda _, command: commands.append(command))
    monkeypatch.setattr(bootstrap, "find", lambda _: "")
    made = bootstrap.folder_for(PYTHON)
    made.mkdir(parents=True)
    monkeypatch.setattr(bootstrap.shutil, "rmtree", lambda *_, **__: None)
    assert bootstrap.make() == made
    assert [own, "-I", "-m", "venv", "--without-pip", str(made)] in commands
    assert commands[-1][:6] == [own, "-I", "-m", "pip", "--python", str(made / "bin/python")]


def test_tools_are_made_once_from_hashed_files(bootstrap: Module, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "wheels", "alpha", "1.0")
    environment = {
        **os.environ,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
        "PIP_CONFIG_FILE": os.devnull,
    }
    command = [sys.executable, str(bootstrap.__file__), "tools"]
    bootstrap.TOOLS_LOCK.write_text(f"alpha==1.0 --hash=sha256:{wheel.sha256}\n")
    half_made = bootstrap.folder_for(PYTHON)
    (half_made / "bin").mkdir(parents=True)
    (half_made / "bin/leftover").touch()
    children = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    results = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0], results
    assert {out for out, _ in results} == {f"{half_made}/bin\n"}
    assert sum(err.count("making the tool environment") for _, err in results) == 1
    assert not (half_made / "bin/leftover").exists()
    assert list(half_made.glob("lib/python3*/site-packages/alpha/__init__.py"))


@pytest.mark.slow
def test_a_file_with_another_hash_is_refused_and_leaves_nothing_that_counts(
    bootstrap: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path / "wheels", "alpha", "1.0")
    other = hashlib.sha256(wheel.sha256.encode()).hexdigest()
    bootstrap.TOOLS_LOCK.write_text(f"alpha==1.0 --hash=sha256:{other}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    with pytest.raises(SystemExit) as caught:
        bootstrap.tools()
    assert caught.value.code == 4
    assert not bootstrap.is_ready(bootstrap.folder_for(PYTHON))


def test_usage(bootstrap: Module, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["uv"], ["tools", "python"]):
        with pytest.raises(SystemExit) as caught:
            bootstrap.main(arguments)
        assert caught.value.code == 2
        assert "usage" in capsys.readouterr().err
