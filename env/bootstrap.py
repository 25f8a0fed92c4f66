"""Find or make the tools and the Python that everything else needs, with the standard library only.

`python3 env/bootstrap.py tools` prints the folder of the pinned uv and nox. The first time it makes
that tool environment from lockfiles/tools.txt. `python3 env/bootstrap.py python` prints the path of
a Python that a target can be built on. Results go to stdout, messages to stderr.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.version_info < (3, 9):  # noqa: UP036 - this file must run on older machines than the project
    sys.exit(f"paperlora needs Python 3.9 or later to start; this is {sys.version.split()[0]}")

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".envs"
TOOLS_LOCK = ROOT / "lockfiles/tools.txt"
OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
TOOL_PYTHONS = tuple(dict.fromkeys((OWN, "3.12", "3.11", "3.13", "3.14", "3.10", "3.9")))
# As in env/targets.toml, the preferred version first; a test compares the two.
SUPPORTED = ("3.12", "3.11")

USAGE, NETWORK, INTERRUPTED = 2, 4, 130
STDERR = 2  # the output of children goes here: stdout is for the result
PROBE_SECONDS = 20
FETCH_SECONDS = 180
# Modules that torch, torchvision or requests import and that some builds of Python lack.
PROBE = """
import bz2, ctypes, lzma, sqlite3, ssl, sys, zlib
print("%d.%d" % sys.version_info[:2], sys.maxsize > 2**32, sys.executable)
"""


def say(message: str) -> None:
    """Print a line on stderr."""
    print(message, file=sys.stderr, flush=True)


def failure(message: str, code: int = USAGE) -> SystemExit:
    """Print one line and return the exit to raise."""
    say(message)
    return SystemExit(code)


def candidates(version: str) -> Iterator[Path]:
    """Yield the paths where a Python of ``version`` (``3.12``) may be, the user's choice first.

    `uv python find` cannot do this: uv 0.13.9 stops with an error at the first `python3.12` on PATH
    that does not run, such as a pyenv shim of a version that is not selected. And the tool
    environment, which has uv, needs a Python first.
    """
    name = "python" + version
    home = Path.home()
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        # The tool environment is first on PATH, but no target can be built on it.
        if not folder.startswith(str(ENVIRONMENTS)):
            yield Path(folder) / name
    if os.environ.get("CONDA_PREFIX"):
        yield Path(os.environ["CONDA_PREFIX"]) / "bin" / name
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    places = [
        (Path(os.environ.get("PYENV_ROOT") or home / ".pyenv"), f"versions/{version}.*/bin/python"),
        (Path("/usr/bin"), name),
        (Path("/usr/local/bin"), name),
        (Path("/opt"), f"*/bin/{name}"),
        (home, f"*conda*/bin/{name}"),
        (home, f"*forge*/bin/{name}"),
        (home, f"*conda*/envs/*/bin/{name}"),
        (Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python"), f"*/bin/{name}"),
    ]
    for place, pattern in places:
        with contextlib.suppress(OSError):
            yield from sorted(place.glob(pattern), reverse=True)


def answer(path: Path, version: str) -> str:
    """Run the Python at ``path``; return its own path, or ``""`` if it is not a complete ``version``.

    The file name proves nothing: pyenv has shims for versions that it does not run.
    """
    if not path.is_absolute() or not os.access(path, os.X_OK):
        return ""
    command = [str(path), "-I", "-c", PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = done.stdout.strip().split(" ", 2)
    return found[2] if done.returncode == 0 and found[:2] == [version, "True"] else ""


def find(version: str) -> str:
    """Return the first Python of ``version`` that runs, or ``""``."""
    found = (answer(path, version) for path in dict.fromkeys(candidates(version)))
    return next(filter(None, found), "")


def python() -> str:
    """Return a supported Python of this machine, or else one that uv downloads."""
    found = next(filter(None, map(find, SUPPORTED)), "")
    if found:
        return found
    first, either = SUPPORTED[0], " or ".join(SUPPORTED)
    uv = str(Path(tools()) / "uv")
    say(f"no Python {either} on this machine: uv downloads Python {first} (about 35 MB)")
    # uv stops at an error by itself; the limit is for a network that drops packets.
    with contextlib.suppress(subprocess.TimeoutExpired):
        command = [uv, "python", "install", first]
        subprocess.run(command, stdout=STDERR, check=False, timeout=FETCH_SECONDS)
    found = find(first)
    if not found:
        raise failure(
            f"paperlora needs Python {either}; this machine has none and uv could not download one → "
            f"install it (apt-get install python{first}, or pyenv install {first}), then run again"
        )
    return found


def folder_for(version: str) -> Path:
    """Return the folder of the tool environment that Python ``version`` makes from tools.txt."""
    digest = hashlib.sha256(TOOLS_LOCK.read_bytes() + version.encode()).hexdigest()
    return ENVIRONMENTS / f"tools-{digest[:12]}"


def is_ready(folder: Path) -> bool:
    """Return whether ``folder`` is finished and the Python that made it still exists."""
    return (folder / ".complete").exists() and (folder / "bin/python").exists()


def tools() -> str:
    """Return the folder with the pinned uv and nox; make it on first use."""
    if not TOOLS_LOCK.exists():
        raise failure(f"{TOOLS_LOCK} is missing → restore it from the repository")
    made = (folder for folder in map(folder_for, TOOL_PYTHONS) if is_ready(folder))
    folder = next(made, None) or make()
    return str(folder / "bin")


def make() -> Path:
    """Install lockfiles/tools.txt into a folder; the last step writes the stamp that completes it."""
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / ".tools.lock").open("w") as guard:
        # A second process waits here and then finds the finished folder.
        fcntl.flock(guard, fcntl.LOCK_EX)
        interpreter, version = maker()
        folder = folder_for(version)
        if is_ready(folder):
            return folder
        say("making the tool environment (uv, nox): about 30 MB to download, 90 MB on disk")
        shutil.rmtree(folder, ignore_errors=True)
        made = str(folder / "bin/python")
        venv = [interpreter, "-I", "-m", "venv"]
        pip = [made, "-I", "-m", "pip"]
        if not has(interpreter, "ensurepip"):  # as on Colab: use its own pip
            venv += ["--without-pip"]
            pip = [interpreter, "-I", "-m", "pip", "--python", made]
        run("python3 -m venv", [*venv, str(folder)])
        pip += ["--disable-pip-version-check"]
        locked = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(TOOLS_LOCK)]
        run("pip install", [*pip, "install", "--quiet", *locked])
        (folder / ".complete").touch()
    return folder


def maker() -> tuple[str, str]:
    """Return a Python that can make a virtual environment with pip, and its version."""
    found = [(sys.executable if one == OWN else find(one), one) for one in TOOL_PYTHONS]
    # Debian has ensurepip in a package of its own.
    for module in ("ensurepip", "pip"):
        for path, version in found:
            if path and has(path, module):
                return path, version
    raise failure(
        f"{sys.executable} cannot make a virtual environment: it has neither ensurepip nor pip → "
        "install it (apt-get install python3-venv), then run again"
    )


def has(interpreter: str, module: str) -> bool:
    """Return whether a Python can import ``module``."""
    command = [interpreter, "-I", "-c", f"import {module}"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def run(what: str, command: list[str]) -> None:
    """Run one command that makes the tool environment, with its output on stderr."""
    if subprocess.run(command, stdout=STDERR, check=False).returncode:
        raise failure(
            f"the tool environment could not be made: {what} failed, see above → "
            "check the network and your pip configuration, then run again",
            NETWORK,
        )


def main(arguments: list[str]) -> None:
    """Print the result of one command."""
    commands = {"tools": tools, "python": python}
    if len(arguments) != 1 or arguments[0] not in commands:
        raise failure("usage: python3 env/bootstrap.py tools|python")
    print(commands[arguments[0]]())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
