"""The sessions, and env/nox which starts them, with a fake nox that keeps what it gets."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from paperlora import __main__
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A module loaded from its file has no type that a checker knows.
Module: TypeAlias = Any


@pytest.fixture
def noxfile(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Return noxfile.py, imported with a fake nox, since this environment has no nox."""
    nox: Any = types.ModuleType("nox")
    nox.options = types.SimpleNamespace()
    nox.sessions = {}
    nox.Session = object

    def session(function: Callable[..., None] | None = None, *, name: str | None = None) -> Module:
        def keep(function: Callable[..., None]) -> Callable[..., None]:
            nox.sessions[name or function.__name__] = function
            return function

        return keep(function) if function else keep

    nox.session = session
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("code", "expected"), [("0", None), ("3", 3), ("5", 5), ("130", 130), ("os.kill(0)", 137)]
)
def test_the_code_of_a_command_is_handed_through(
    noxfile: Module, code: str, expected: int | None
) -> None:
    body = (
        "import os, sys; os.kill(os.getpid(), 9)" if "kill" in code else f"raise SystemExit({code})"
    )
    if expected is None:
        noxfile.call(sys.executable, "-c", body)
        return
    with pytest.raises(SystemExit) as caught:
        noxfile.call(sys.executable, "-c", body)
    assert caught.value.code == expected


def test_an_interruption_waits_for_the_command_and_is_130(noxfile: Module, tmp_path: Path) -> None:
    tidy = tmp_path / "tidy"
    body = (
        "import os, signal, sys, time, pathlib\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        f"time.sleep(0.3); pathlib.Path({str(tidy)!r}).touch()"
    )
    with pytest.raises(SystemExit) as caught:
        noxfile.call(sys.executable, "-c", body)
    assert caught.value.code == 130
    assert tidy.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_pipeline_session_installs_then_runs_its_command(
    noxfile: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(noxfile, "call", lambda *c, **e: calls.append((list(map(str, c)), e)))
    monkeypatch.setenv("PAPERLORA_TOOLS", "/tools")
    session = types.SimpleNamespace(posargs=["--papers", "../x"])
    sys.modules["nox"].sessions["eval"](session)
    (install, _), (command, environment) = calls
    assert install[0] == "bash"
    assert install[2:] == ["--target", "cuda", "--unless-stamped"]
    assert command[0].endswith(".envs/cuda/bin/python")
    assert command[1:] == ["-m", "paperlora", "eval", "--papers", "../x"]
    assert environment == {"PYTHONPATH": str(ROOT / "src")}


def test_the_caller_s_python_settings_stay_outside(
    noxfile: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    body = (
        "import os, sys\n"
        "sys.exit(7 if {'PYTHONPATH', 'PYTHONDONTWRITEBYTECODE'} & {*os.environ} else 0)"
    )
    noxfile.call(sys.executable, "-c", body)
    with pytest.raises(SystemExit):
        noxfile.call(sys.executable, "-c", body, PYTHONPATH="/given")


@pytest.mark.usefixtures("noxfile")
def test_each_command_of_the_command_line_is_a_session() -> None:
    (commands,) = (one for one in __main__._parser()._actions if isinstance(one.choices, dict))
    assert {"train", "verify", "sbom", "lock"} <= set(commands.choices)
    assert set(commands.choices) <= set(sys.modules["nox"].sessions)


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """Return env/nox of a checkout whose tools are finished and whose python prints its call."""
    root = tmp_path / "a checkout"
    for name in ("env/nox", "env/bootstrap.py", "lockfiles/tools.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    code = "import bootstrap; print(bootstrap.folder_for(bootstrap.OWN))"
    done = subprocess.run(
        ["python3", "-c", code], cwd=root / "env", check=True, stdout=subprocess.PIPE, text=True
    )
    tools = root / ".envs" / done.stdout.strip().rsplit("/", 1)[1]
    (tools / "bin").mkdir(parents=True)
    (tools / ".complete").touch()
    python = tools / "bin/python"
    python.write_text('#!/bin/sh\nprintf "%s|" "$@" "$PAPERLORA_CWD" "$PATH"; exit 5\n')
    python.chmod(0o755)
    return root / "env/nox"


def test_the_launcher_hands_over_from_any_folder(launcher: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(launcher)
    done = subprocess.run(
        [elsewhere / "link", "-s", "train", "--", "--papers", "../x"],
        cwd=elsewhere,
        env={**os.environ, "PAPERLORA_CWD": "/of/an/outer/call"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    *arguments, cwd, path, _ = done.stdout.split("|")
    noxfile = str(launcher.parent.parent / "noxfile.py")
    assert arguments == ["-m", "nox", "-f", noxfile, "-s", "train", "--", "--papers", "../x"]
    assert cwd == str(elsewhere)
    assert path.startswith(str(launcher.parent.parent / ".envs/tools-"))


def test_the_launcher_passes_over_a_python_that_does_not_answer(
    launcher: Path, tmp_path: Path
) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "python3").write_text("#!/bin/sh\nexit 127\n")
    (shims / "python3").chmod(0o755)
    for tool in ("readlink", "dirname"):
        (shims / tool).symlink_to(str(shutil.which(tool)))
    environment = {"PATH": str(shims), "HOME": str(tmp_path)}
    command = [str(launcher), "-l"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "paperlora needs Python 3.9 or later to start → install python3 and run this again\n"
    )
    (shims / f"python3.{sys.version_info[1]}").symlink_to(sys.executable)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr


@pytest.mark.parametrize(("given", "expected"), [(None, "true"), ("false", "false")])
def test_uv_trusts_what_the_machine_trusts_unless_told_otherwise(
    noxfile: Module,
    given: str | None,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bundle = tmp_path / "authorities.crt"
    show = "import os; print(os.environ.get('UV_SYSTEM_CERTS'))"
    monkeypatch.setattr(noxfile, "AUTHORITIES", (str(bundle),))
    monkeypatch.delenv("UV_SYSTEM_CERTS", raising=False)
    if given:
        monkeypatch.setenv("UV_SYSTEM_CERTS", given)
    noxfile.call(sys.executable, "-c", show)
    assert capfd.readouterr().out == f"{given}\n"  # no such file, nothing added
    bundle.write_text("")
    noxfile.call(sys.executable, "-c", show)
    assert capfd.readouterr().out == f"{expected}\n"
