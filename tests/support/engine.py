"""The images under test, in a real engine."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

NAME = os.environ.get("PAPERLORA_IMAGE", "paperlora")


def docker(*arguments: object, code: int = 0, timeout: float = 900) -> str:
    """Run docker, check its exit code, and return its output, errors last."""
    command = ["docker", *map(str, arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == code, f"{command} ended with {done.returncode}: {done.stderr[-3000:]}"
    return done.stdout + (done.stderr if code else "")


def inside(*arguments: object, code: int = 0, variant: str = "cuda", options: tuple = ()) -> str:
    """Run a command of the image without network and on a read-only root."""
    limits = ("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp")
    return docker("run", *limits, *options, f"{NAME}:{variant}", *arguments, code=code)


def shell(script: str, *, variant: str = "cuda", options: tuple = (), code: int = 0) -> str:
    """Run a shell script in the image, in place of its entry point."""
    how = ("--rm", "--network", "none", "--entrypoint", "bash", *options)
    return docker("run", *how, f"{NAME}:{variant}", "-euc", script, code=code)


def about(variant: str) -> dict[str, Any]:
    """Return the engine's description of an image."""
    (described,) = json.loads(docker("image", "inspect", f"{NAME}:{variant}"))
    return described
