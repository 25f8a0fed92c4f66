"""A finding: a problem that a check found, and how to fix it."""

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
