"""Name each step of the project: `nox -s train eval`, or `env/nox -s …` where nox is not installed.

All pipeline sessions share one locked environment, `.envs/cuda`, which `env/install.sh` makes on
first use. Arguments after `--` go to the command. This file needs only the Python that runs nox.
"""

import os
import subprocess
import sys
from pathlib import Path

import nox
import packaging

ROOT = Path(__file__).resolve().parent
TARGET = "cuda"
PYTHON = ROOT / ".envs" / TARGET / "bin/python"
LINT = ROOT / ".envs/lint"
# Where a machine keeps its certificate authorities; uv uses them only with UV_SYSTEM_CERTS.
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
# Settings of the caller's shell that would select another Python or other packages.
DROPPED = ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")

COMMANDS = {
    "fetch": "Bring the papers of a list to a folder.",
    "parse": "Read the text of the papers.",
    "dataset": "Make examples and splits, split by paper.",
    "train": "Fine-tune the model on the papers.",
    "eval": "Score the base model and the tuned model, and write the report.",
    "report": "Write the report of a run.",
    "infer": "Ask the tuned model a question.",
    "compare": "Compare the results of two runs.",
    "verify": "Compare the environment with its lock.",
    "doctor": "Check driver, GPU, memory and disk, and show which models fit.",
    "sbom": "Print the locked packages as a CycloneDX document.",
}

nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "none"


def call(*command: object, **environment: str) -> None:
    """Run a command in the checkout, and exit with its code unless that is 0.

    Nox turns every failure into 1, but this project's exit codes have meanings (3: environment not
    verified, 4: network, 130: interrupted), so SystemExit passes them on.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in DROPPED}
    if any(Path(bundle).exists() for bundle in AUTHORITIES):
        inherited.setdefault("UV_SYSTEM_CERTS", "true")
    words = [str(word) for word in command]
    sys.stdout.flush()
    child = subprocess.Popen(words, cwd=ROOT, env={**inherited, **environment})
    try:
        code = child.wait()
    except KeyboardInterrupt:
        # The child got Ctrl-C too and cleans up. A second Ctrl-C kills it.
        try:
            child.wait()
        except KeyboardInterrupt:
            child.kill()
        raise SystemExit(130) from None
    if code:
        raise SystemExit(128 - code if code < 0 else code)


def bootstrap(wanted: str) -> str:
    """Return the folder of the `tools`, or the path of a supported `python`, by env/bootstrap.py."""
    known = os.environ.get("PAPERLORA_TOOLS")
    if known and wanted == "tools":
        return known
    command = [sys.executable, "-I", str(ROOT / "env/bootstrap.py"), wanted]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout.strip()


def environment(*arguments: str) -> None:
    """Make or complete the environment."""
    install = ROOT / "env/install.sh"
    call("bash", install, "--target", TARGET, *arguments, PAPERLORA_TOOLS=bootstrap("tools"))


def paperlora(session: nox.Session, command: str) -> None:
    """Run one command of the command line in the locked environment.

    A missing environment is made first. An environment that was changed later is not repaired
    without a request: the command verifies it, names each difference and stops.
    """
    environment("--unless-stamped")
    call(PYTHON, "-m", "paperlora", command, *session.posargs, PYTHONPATH=str(ROOT / "src"))


def declare(name: str, text: str) -> None:
    """Make a session that runs one command of the command line."""

    def step(session: nox.Session) -> None:
        paperlora(session, name)

    step.__doc__ = text
    nox.session(name=name)(step)


for _name, _text in COMMANDS.items():
    declare(_name, _text)


@nox.session
def install(session: nox.Session) -> None:
    """Make, complete or repair the environment."""
    environment(*session.posargs)


def without_environment(session: nox.Session, command: str) -> None:
    """Run a command that works on the locks, in any supported Python with nox's own `packaging`.

    The locked environment cannot be used here: it is made from the lock.
    """
    path = f"{ROOT / 'src'}{os.pathsep}{Path(packaging.__file__).parent.parent}"
    python, tools = bootstrap("python"), bootstrap("tools")
    command_line = (python, "-m", "paperlora", command, *session.posargs)
    call(*command_line, PYTHONPATH=path, PAPERLORA_TOOLS=tools)


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve the packages that env/*.toml requires, and write lockfiles/."""
    without_environment(session, "lock")


@nox.session
def check(session: nox.Session) -> None:
    """Check without a network that the locks are fresh, whole, consistent and in stage order."""
    without_environment(session, "check")


@nox.session
def order(session: nox.Session) -> None:
    """Prove the install order by installing a target stage by stage (--target, --python)."""
    without_environment(session, "order")


@nox.session
def parity(session: nox.Session) -> None:
    """Compare a Colab runtime, our install on it, and the host, and find conflicts."""
    without_environment(session, "parity")


@nox.session
def drift(session: nox.Session) -> None:
    """Show what changed in Colab since a Colab target was locked."""
    without_environment(session, "drift")


@nox.session
def update(session: nox.Session) -> None:
    """Move the cutoff, lock everything again, and list the changes with their reasons."""
    without_environment(session, "update")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure: `-- NAME` runs tests/bench/NAME.py (`install` compares with pip, wheels on disk)."""
    environment("--unless-stamped")
    name, *arguments = session.posargs or ["install"]
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests/support")))
    script = ROOT / f"tests/bench/{name}.py"
    call(PYTHON, script, *arguments, PYTHONPATH=path, PAPERLORA_TOOLS=bootstrap("tools"))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, except those that need minutes, a GPU, an image or the tools of `lint`."""
    environment("--unless-stamped")
    call(PYTHON, "-m", "pytest", *session.posargs, PYTHONPATH=str(ROOT / "src"))


@nox.session
def papers(_session: nox.Session) -> None:
    """Rebuild the papers that ship from their LaTeX sources; needs pdfTeX."""
    environment("--unless-stamped")
    call(PYTHON, ROOT / "tests/support/typeset.py", PYTHONPATH=str(ROOT / "src"))


@nox.session
def docs(_session: nox.Session) -> None:
    """Write docs/configuration.md from the docstrings of the configuration."""
    environment("--unless-stamped")
    call(PYTHON, ROOT / "tests/support/configuration_page.py", PYTHONPATH=str(ROOT / "src"))


@nox.session
def lint(_session: nox.Session) -> None:
    """Check style, types, shell scripts, workflows and the format of the SBOM."""
    environment("--unless-stamped")
    run = LINT / "bin"
    uv = Path(bootstrap("tools")) / "uv"
    call(uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", PYTHON, LINT)
    hashed = ("--require-hashes", "--only-binary", ":all:")
    call(uv, "pip", "sync", "--quiet", "--python", run / "python", *hashed, "lockfiles/lint.txt")
    call(run / "ruff", "check")
    call(run / "ruff", "format", "--check")
    # The types of the packages are in the environment, those of nox where nox runs.
    call(run / "mypy", "--python-executable", PYTHON, "src")
    call(run / "mypy", "--python-executable", sys.executable, "noxfile.py", "env/bootstrap.py")
    call(run / "shellcheck", "env/nox", "env/install.sh", ".ci/run", "docs/scale/slurm.sh")
    call(PYTHON, "-m", "pytest", "-q", "-m", "lint", "tests/lint", PYTHONPATH=str(ROOT / "src"))


@nox.session
def image(session: nox.Session) -> None:
    """Build the images and check their sizes; --reproduce builds twice and compares."""
    run = (bootstrap("python"), "-m", "paperlora.environment.image.build", *session.posargs)
    call(*run, PYTHONPATH=str(ROOT / "src"))
