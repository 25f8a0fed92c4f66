"""A small checkout with its own lock: two stages, three packages, generated wheels."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from typing import TYPE_CHECKING

from paperlora.environment.core import target as targets
from paperlora.environment.core.lock import (
    Lock,
    Package,
    Slice,
    Wheel,
    load,
    texts,
)
from paperlora.environment.core.verify import machine
from paperlora.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"

STAGES = """
[[stage]]
name = "base"
what = "first"
packages = [{ name = "alpha", why = "needed by beta" }]
probe = "import alpha"

[[stage]]
name = "model"
what = "second"
packages = [
    { name = "beta", version = "==2.0", why = "the point" },
    { name = "uv", why = "a tool, so its version stands among the tools" },
]
probe = "import alpha, beta"
"""

TARGETS = f"""
cutoff = "2026-01-01T00:00:00Z"

[target.cuda]
python = ["{PYTHON}"]
platform = "{machine().partition("-")[2]}-manylinux_2_28"
runtime = "r1"
installed = 3e6

[tools.tools]
python = "3.9"
packages = ["uv==0.9", "nox==1 ; python_version >= '3.10'"]
"""

RUNTIME = """
commit = "c0ffee"
python = "3.12.1"

[packages]
alpha = "1.0+cu1"
beta = "1.5"
"""


def record_line(entry: str, content: bytes) -> str:
    """Return the line of RECORD for a file."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{entry},sha256={digest},{len(content)}\n"


REQUIRES = {"beta": ("alpha<2,>=1", "gamma>=3", "omega; extra == 'more'")}


def write_wheel(
    folder: Path, name: str, version: str, *, also: dict[str, str] | None = None
) -> Wheel:
    """Write an importable wheel of one module, the same bytes each time, and return its facts."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {one}\n" for one in REQUIRES.get(name, ()))
    files = {
        f"{name}/__init__.py": f"version = {version!r}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **(also or {}),
    }
    lines = [record_line(entry, text.encode()) for entry, text in files.items()]
    files[f"{about}/RECORD"] = "".join(lines) + f"{about}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in files.items():
            archive.writestr(zipfile.ZipInfo(entry), text)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Wheel(file=path.name, sha256=digest, size=len(content))


def write_lock(root: Path) -> Lock:
    """Lock alpha, beta and gamma in ``root`` without a resolver."""
    target = targets.load("cuda", root=root)
    content = {"base": [("alpha", "1.0")], "model": [("beta", "2.0"), ("gamma", "3.0")]}
    slices = []
    for stage in target.stages:
        packages = tuple(
            Package(
                name=name,
                version=version,
                python=target.python,
                wheels=(write_wheel(root / "wheels", name, version),),
                requires=REQUIRES.get(name, ()),
            )
            for name, version in content[stage.name]
        )
        slices.append(Slice(stage=stage.name, file=stage.slice_name, packages=packages))
    lock = Lock(
        target="cuda",
        input_digest=target.input_digest,
        uv="0.9",
        cutoff=target.cutoff,
        runtime=target.runtime.name,
        python=target.python,
        platform=target.platform,
        installed_bytes=target.installed_bytes,
        provided={},
        slices=tuple(slices),
        digest="",
    )
    return write_files(root, lock)


def write_files(root: Path, lock: Lock) -> Lock:
    """Write a lock with its slices, and return it with its digest."""
    for name, text in texts(lock).items():
        write_text(root / "lockfiles" / lock.target / name, text)
    return load(lock.target, root=root)
