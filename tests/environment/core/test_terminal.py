from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from paperlora.environment.core import terminal

if TYPE_CHECKING:
    import pytest


def test_columns_are_aligned() -> None:
    rows = [("a", "bb"), ("ccc", "d")]
    assert terminal.columns(rows, ["", "red"]) == ["a    bb", "ccc  d"]


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert terminal.paint("x", "red") == "x"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.paint("x", "red") == "\x1b[31mx\x1b[0m"
    assert terminal.paint("x", "") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.paint("x", "red") == "x"


def test_sizes() -> None:
    assert terminal.human(7.7e9) == "7.7 GB"
    assert terminal.human(1234) == "0.0 MB"
