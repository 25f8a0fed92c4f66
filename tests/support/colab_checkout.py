"""A checkout with an invented Colab runtime: one package to change, one to add, one own conflict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from checkout import machine

from paperlora.environment.core.lock import Lock, Package, Slice, texts
from paperlora.environment.core.runtime import Runtime, facts

if TYPE_CHECKING:
    from pathlib import Path

RUNTIME = {"alpha": "1.0", "beta": "1.5", "delta": "1.0", "legacy": "0.1", "torch": "2.0+cu1"}
STAGES = """
[[stage]]
name = "model"
what = "all"
packages = [
    { name = "alpha", why = "a" },
    { name = "beta", version = "==2.0", accepts = ">=2,<3", why = "b" },
    { name = "gamma", version = "==3.0", why = "c" },
]
probe = ""
"""
TARGETS = f"""
cutoff = "2026-01-01T00:00:00Z"
protected = ["torch"]
[target.cuda]
python = ["3.12"]
platform = "{machine().partition("-")[2]}-manylinux_2_28"
runtime = "r1"
installed = 3e6
[target.colab-r1]
colab = true
python = ["3.12"]
platform = "{machine().partition("-")[2]}-manylinux_2_28"
runtime = "r1"
installed = 3e6
[tools.tools]
python = "3.9"
packages = []
"""
REQUIRES = {
    "alpha": {"1.0": []},
    "beta": {"1.5": []},
    "delta": {"1.0": ["beta<3", "beta<2; python_version < '3.12'", "omega; extra == 'x'"]},
    "legacy": {"0.1": ["never-there>=1"]},
}
BETA = Package(name="beta", version="2.0", python=("3.12",), wheels=(), requires=("alpha>=1",))
GAMMA = Package(name="gamma", version="3.0", python=("3.12",), wheels=(), requires=("torch>=2",))
ALPHA = Package(name="alpha", version="1.0", python=("3.12",), wheels=())


def write_lock(root: Path, target: str, packages: tuple[Package, ...], **provided: str) -> None:
    part = Slice(stage="model", file="10-model.txt", packages=packages)
    lock = Lock(
        target=target,
        input_digest="",
        uv="",
        cutoff="",
        runtime="r1",
        python=("3.12",),
        platform=f"{machine().partition('-')[2]}-manylinux_2_28",
        installed_bytes=1,
        provided=provided,
        slices=(part,),
        digest="",
    )
    path = root / f"lockfiles/{target}/lock.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(texts(lock)["lock.json"])


def write_requires(root: Path, requires: dict[str, dict[str, list[str]]]) -> None:
    (root / "lockfiles/requires.json").write_text(json.dumps({"packages": requires}))


def write(root: Path) -> Path:
    """Write the checkout into ``root`` and return it."""
    (root / "env/colab").mkdir(parents=True)
    (root / "env/stages.toml").write_text(STAGES)
    (root / "env/targets.toml").write_text(TARGETS)
    runtime = Runtime(name="r1", commit="c0ffee", python="3.12.1", packages=RUNTIME)
    (root / "env/colab/r1.toml").write_text(facts(runtime))
    write_lock(root, "colab-r1", (BETA, GAMMA), alpha="1.0")
    write_lock(root, "cuda", (ALPHA, BETA, GAMMA))
    write_requires(root, REQUIRES)
    return root
