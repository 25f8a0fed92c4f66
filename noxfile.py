"""The program as a list of named steps: `nox -s train eval`, or `env/nox` where there is no nox.

Every pipeline session runs in the one locked environment, `.envs/cuda`, which `env/install.sh`
makes on first use and which all of them share. What stands after `--` goes to the command. Runs on
any Python that nox runs on, with nothing else installed.
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
# Where a machine keeps its certificate authorities; uv trusts them only when told to.
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
# The environment's own Python and packages are used, whatever the caller's shell was set up for.
DROPPED = ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")

COMMANDS = {
    "fetch": "Download the papers of a list.",
    "parse": "Read the text of the papers.",
    "dataset": "Make examples and splits, split by paper.",
    "train": "Fine-tune the model on the papers; does first what it needs.",
    "eval": "Score the base and the tuned model, and write the report.",
    "report": "Draw the report of a run again.",
    "infer": "Ask the tuned model a question.",
    "compare": "Say whether two runs gave the same results.",
    "papers": "Rebuild the papers that ship from their LaTeX sources.",
    "verify": "Compare the environment with its lock.",
    "doctor": "Look at driver, GPU, memory and disk, and what fits.",
}

nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "none"


def call(*command: object, **environment: str) -> None:
    """Run a command in the checkout, and leave with its own exit code unless that is 0.

    Nox turns every failure into 1; the codes of this project mean something (3: environment not
    verified, 4: network, 130: interrupted), so they are handed through with SystemExit.
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
        # Ctrl-C reached the child too: it puts its things away and says so itself.
        # However long its last step takes; whoever will not wait presses Ctrl-C again.
        try:
            child.wait()
        except KeyboardInterrupt:
            child.kill()
        raise SystemExit(130) from None
    if code:
        raise SystemExit(128 - code if code < 0 else code)


def bootstrap(question: str) -> str:
    """Ask env/bootstrap.py for the folder of the `tools`, or for a supported `python`."""
    known = os.environ.get("PAPERLORA_TOOLS")
    if known and question == "tools":
        return known
    command = [sys.executable, "-I", str(ROOT / "env/bootstrap.py"), question]
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

    The environment is made when it is not there. One that was made and then changed is not mended
    behind its user's back: the command verifies it, names what differs and refuses.
    """
    environment("--unless-stamped")
    call(PYTHON, "-m", "paperlora", command, *session.posargs, PYTHONPATH=str(ROOT / "src"))


def declare(name: str, text: str) -> None:
    """Make a session of a command of the command line."""

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
    """Run a command of the locks: any supported Python will do, with nox's own `packaging`.

    The lock comes before the environment.
    """
    path = f"{ROOT / 'src'}{os.pathsep}{Path(packaging.__file__).parent.parent}"
    python, tools = bootstrap("python"), bootstrap("tools")
    command_line = (python, "-m", "paperlora", command, *session.posargs)
    call(*command_line, PYTHONPATH=path, PAPERLORA_TOOLS=tools)


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve again what env/*.toml asks for and rewrite lockfiles/."""
    without_environment(session, "lock")


@nox.session
def check(session: nox.Session) -> None:
    """Check the locks, offline: fresh, whole, consistent, and in the one stage order."""
    without_environment(session, "check")


@nox.session
def order(session: nox.Session) -> None:
    """Prove the install order by installing a target stage by stage (--target, --python)."""
    without_environment(session, "order")


@nox.session
def parity(session: nox.Session) -> None:
    """Compare a Colab runtime, our install on it, and the host, and look for conflicts."""
    without_environment(session, "parity")


@nox.session
def drift(session: nox.Session) -> None:
    """Say what moved since a Colab target was locked."""
    without_environment(session, "drift")


@nox.session
def update(session: nox.Session) -> None:
    """Move the cutoff, lock everything anew, and say what changed and why it matters."""
    without_environment(session, "update")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure: `-- NAME` runs tests/bench/NAME.py (install: beside pip, from wheels on disk)."""
    environment("--unless-stamped")
    name, *arguments = session.posargs or ["install"]
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests/support")))
    script = ROOT / f"tests/bench/{name}.py"
    call(PYTHON, script, *arguments, PYTHONPATH=path, PAPERLORA_TOOLS=bootstrap("tools"))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; those that need minutes, a GPU or an image are left out."""
    environment("--unless-stamped")
    call(PYTHON, "-m", "pytest", *session.posargs, PYTHONPATH=str(ROOT / "src"))


@nox.session
def docs(_session: nox.Session) -> None:
    """Write docs/configuration.md from the docstrings of the configuration."""
    environment("--unless-stamped")
    call(PYTHON, ROOT / "tests/support/configuration_page.py", PYTHONPATH=str(ROOT / "src"))


@nox.session
def lint(_session: nox.Session) -> None:
    """Check style, types, shell scripts and workflows."""
    environment("--unless-stamped")
    run = LINT / "bin"
    uv = Path(bootstrap("tools")) / "uv"
    call(uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", PYTHON, LINT)
    hashed = ("--require-hashes", "--only-binary", ":all:")
    call(uv, "pip", "sync", "--quiet", "--python", run / "python", *hashed, "lockfiles/lint.txt")
    call(run / "ruff", "check")
    call(run / "ruff", "format", "--check")
    # The packages' own types come from the environment, nox's from where nox runs.
    call(run / "mypy", "--python-executable", PYTHON, "src")
    call(run / "mypy", "--python-executable", sys.executable, "noxfile.py", "env/bootstrap.py")
    call(run / "shellcheck", "env/nox", "env/install.sh", ".ci/run")
    call(run / "zizmor", "--offline", "--quiet", ".github")


@nox.session
def image(session: nox.Session) -> None:
    """Build the images and weigh them; --reproduce builds twice from nothing and compares."""
    run = (bootstrap("python"), "-m", "paperlora.environment.image.build", *session.posargs)
    call(*run, PYTHONPATH=str(ROOT / "src"))
