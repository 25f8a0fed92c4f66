"""Define the findings and the errors that a command reports, one class of errors per exit code.

Each message says what is wrong and which value was seen; ``remedy`` says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """``subject`` is a package, a file or a part of the machine; ``problem`` has the value seen."""

    subject: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """One line: subject, problem, remedy."""
        return f"{self.subject}: {self.problem} → {self.remedy}"


class PaperloraError(Exception):
    """Base of every error that ends a command with one line instead of a traceback."""

    code = 2

    def __init__(self, message: str, *, remedy: str = "") -> None:
        """Keep ``message`` (what is wrong, value seen) and ``remedy`` (what to do)."""
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        """Return one line: what is wrong, then the remedy."""
        message = super().__str__()
        return f"{message} → {self.remedy}" if self.remedy else message


class FindingsError(PaperloraError):
    """A check found a problem."""

    code = 1


class InputError(PaperloraError):
    """The input, the usage or the configuration is wrong."""

    code = 2


class EnvironmentNotVerifiedError(PaperloraError):
    """The environment differs from its lock."""

    code = 3


class NetworkError(PaperloraError):
    """A download failed because of the network or the server."""

    code = 4


class DataError(PaperloraError):
    """The papers, or a file made from them, cannot be used."""

    code = 5


INTERRUPTED = 130

DAMAGED = "`env/nox -s verify -- --files` lists what is missing or changed in the environment"
"""The remedy when a library cannot be imported."""

FOREIGN = {
    "ImportError": (EnvironmentNotVerifiedError.code, DAMAGED),
    "ModuleNotFoundError": (EnvironmentNotVerifiedError.code, DAMAGED),
    "OutOfMemoryError": (
        InputError.code,
        "lower model.max_length or eval.batch, or set train.gradient_checkpointing=true",
    ),
    "UnicodeEncodeError": (
        InputError.code,
        "a path or an option is not valid UTF-8: rename the folder, or correct the option",
    ),
    "SafetensorError": (DataError.code, "check the disk's free space and the file's permissions"),
}
"""Errors of libraries: class name → (exit code, remedy)."""
