"""How long a locked environment takes to install, beside `pip install -r` of the same pins.

`nox -s bench -- install`: side by side in one run, from wheels on this disk, into fresh environments:
pip, uv with an empty cache and with the wheels in it, and env/install.sh as a user runs it, the last
time with nothing to do. Then the files are compared. Needs 30 GB.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from paperlora.environment.core import lock as locks
from paperlora.environment.locks import resolve
from paperlora.files import ROOT

# Written by the installer about itself, or naming the environment's own path.
OWN = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}


def timed(*command: object, **environment: object) -> float:
    """Run a command and return its seconds."""
    words = [str(word) for word in command]
    variables = {**os.environ, **{key: str(value) for key, value in environment.items()}}
    begun = time.perf_counter()
    subprocess.run(words, env=variables, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def files(prefix: Path) -> dict[str, str]:
    """Return path → SHA-256 of what is installed below ``prefix``."""
    (site,) = prefix.glob("lib/python3*/site-packages")
    found = {}
    for path in site.rglob("*"):
        ours = path.is_file() and path.name not in OWN and path.suffix != ".pyc"
        if ours and path.parts[len(site.parts)] not in {"_virtualenv.py", "_virtualenv.pth"}:
            with path.open("rb") as file:
                found[str(path.relative_to(site))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def main() -> int:
    """Measure, compare, print; 1 when the files differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="cuda")
    parser.add_argument("--stage", default="", help="stop after this stage")
    parser.add_argument("--work", type=Path, default=ROOT / ".envs/bench", help="scratch folder")
    options = parser.parse_args()
    lock = locks.load(options.target)
    end = lock.stages.index(options.stage) + 1 if options.stage else len(lock.slices)
    slices = [ROOT / "lockfiles" / options.target / part.file for part in lock.slices[:end]]
    work, uv = options.work, resolve.uv()
    wheels, cache = work / "wheels", work / "cache"
    shutil.rmtree(work, ignore_errors=True)
    pins = [word for path in slices for word in ("-r", path)]
    hashed = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
    venv = (uv, "venv", "--quiet", "--no-project", "--python", sys.executable)
    print("downloading the wheels, untimed", file=sys.stderr)
    timed(*venv, "--seed", work / "pip")
    pip = (work / "pip/bin/python", "-m", "pip", "-qqq", "--disable-pip-version-check")
    timed(*pip, "download", "--dest", wheels, *hashed, *pins)
    local = ("--no-index", "--find-links", wheels)

    def by_uv(name: str, *more: str, emptied: bool) -> float:
        """Install into a fresh environment from the wheels."""
        if emptied:
            shutil.rmtree(cache, ignore_errors=True)
        timed(*venv, work / name)
        command = (uv, "pip", "install", "--quiet", "--python", work / name, *local, *hashed)
        return timed(*command, *more, *pins, UV_CACHE_DIR=cache)

    print("measuring", file=sys.stderr)
    script = ["bash", ROOT / "env/install.sh", "--target", options.target, "--no-space-check"]
    script += ["--prefix", work / "script", "--python", sys.executable]
    script += ["--stage", options.stage] if options.stage else []
    offline: dict[str, object] = {"UV_CACHE_DIR": cache, "UV_NO_INDEX": 1, "UV_FIND_LINKS": wheels}
    offline["PAPERLORA_TOOLS"] = Path(uv).parent
    rows = {
        "pip install -r, wheels on disk, bytecode": timed(*pip, "install", *local, *hashed, *pins),
        "uv, the same, empty cache, bytecode on all cores": by_uv(
            "compiled", "--compile-bytecode", emptied=True
        ),
        "uv, the same, empty cache": by_uv("uv", emptied=True),
        "uv, the same, wheels in its cache": by_uv("cached", emptied=False),
        "env/install.sh and its probes, wheels in uv's cache": timed(*script, **offline),
        "env/install.sh again, nothing to do": timed(*script, **offline),
    }
    slowest = next(iter(rows.values()))
    for name, seconds in rows.items():
        print(f"{name:55} {seconds:7.2f} s {slowest / seconds:8.1f} times")
    one = files(work / "uv")
    for name in ("compiled", "cached", "script", "pip"):
        other = files(work / name)
        differing = {path for path in {*one, *other} if one.get(path) != other.get(path)}
        if name == "pip":  # it stands in its own environment
            differing = {path for path in differing if not path.startswith(("pip/", "pip-"))}
        print(
            f"{len(one)} files, {len(differing)} of them otherwise by {name}",
            *sorted(differing)[:5],
        )
        if differing:
            return 1
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
