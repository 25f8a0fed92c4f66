"""The control of --reproduce: two builds whose sources differ in one byte."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from paperlora.environment.image import build
from paperlora.errors import FindingsError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]


def test_one_byte_is_found_and_named(tmp_path: Path) -> None:
    for part in ("docker", "env", "lockfiles", "src"):
        shutil.copytree(ROOT / part, tmp_path / part)
    with (tmp_path / "src/paperlora/errors.py").open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(FindingsError, match=r"COPY / /opt.*paperlora/errors\.py"):
        build.reproduce("tools", other=tmp_path)
