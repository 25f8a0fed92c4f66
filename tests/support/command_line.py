"""Run one command line of paperlora in this process, and look at the run from outside."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WEIGHTS = "adapter_model.safetensors"


class _Stream(io.StringIO):
    """Keep what is written; send one Ctrl-C to this process when a text appears in it."""

    def __init__(self, interrupt_at: str = "") -> None:
        super().__init__()
        self.interrupt_at = interrupt_at

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.interrupt_at and self.interrupt_at in self.getvalue():
            self.interrupt_at = ""
            os.kill(os.getpid(), signal.SIGINT)
        return written


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one command line left on the terminal."""

    code: int
    out: str
    err: str

    def lines_with(self, *words: str) -> list[str]:
        """Return the lines of standard error that hold all words."""
        return [line for line in self.err.splitlines() if all(word in line for word in words)]

    @property
    def error(self) -> str:
        """Return the one line that says why the command failed."""
        [line] = self.lines_with("paperlora: ")
        assert self.err.rstrip().endswith(line), self.err
        return line

    def nothing_changed(self, command: str) -> bool:
        return f"{command}: nothing changed" in self.err


def paperlora(*arguments: object, interrupt_at: str = "", stdin: str = "") -> Result:
    """Run ``paperlora ARGUMENTS``; ``interrupt_at`` sends Ctrl-C when stderr holds that text."""
    from paperlora.__main__ import main

    out, err = _Stream(), _Stream(interrupt_at)
    before = sys.stdin, Path.cwd()
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    # A shell starts its background jobs with Ctrl-C ignored; the tests need the usual answer to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = io.StringIO(stdin)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
    except SystemExit as leaving:  # argparse
        code = leaving.code if isinstance(leaving.code, int) else 2
    finally:
        sys.stdin = before[0]
        for one, handler in handlers.items():
            signal.signal(one, handler)
        os.chdir(before[1])  # PAPERLORA_CWD moves the process
    assert not interrupt_at or not err.interrupt_at, (
        f"never seen: {interrupt_at!r}\n{err.getvalue()}"
    )
    return Result(code=code, out=out.getvalue(), err=err.getvalue())


def chain(*arguments: object, interrupt_at: str = "") -> Result:
    """Run commands of the chain on the CPU, in whatever environment this is."""
    return paperlora(*arguments, "--unverified", "--device", "cpu", interrupt_at=interrupt_at)


def good(result: Result) -> Result:
    """Return the result if the command succeeded; fail with its messages otherwise."""
    assert result.code == 0, f"exit code {result.code}\n{result.err}"
    return result


def weights(run: Path, adapter: str = "adapter") -> bytes:
    return (run / adapter / WEIGHTS).read_bytes()


def settings(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "config.toml").read_text())


def json_of(path: Path) -> Any:
    return json.loads(path.read_text())


def tree(folder: Path, *, but: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return every file below a folder with its bytes, except the parts named in `but`."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(path.relative_to(folder).parts) & set(but)
    }
