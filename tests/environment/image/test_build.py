"""Variables of a build, a missing engine, and the size budget."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from paperlora.environment.core import lock as locks
from paperlora.environment.image import build, oci
from paperlora.environment.image.oci import Image, Layer
from paperlora.errors import FindingsError

if TYPE_CHECKING:
    from pathlib import Path


def test_times_are_the_lock_s_and_not_the_commit_s() -> None:
    told = build.settings()
    lock = locks.load("cuda")
    when = dt.datetime.fromtimestamp(int(told["SOURCE_DATE_EPOCH"]), dt.UTC)
    assert when.strftime("%Y-%m-%dT%H:%M:%SZ") == lock.cutoff
    assert told["LOCK_DIGEST"] == lock.digest


def test_without_an_engine_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.main(["tools"]) == 2
    assert "there is no running Docker Engine with buildx" in capsys.readouterr().err


def test_an_unknown_variant_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["rocm"]) == 2
    assert "there is no variant rocm" in capsys.readouterr().err


def test_the_budget_is_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = Image(folder=tmp_path, digest="sha256:0")
    size = 1
    monkeypatch.setattr(oci, "layers", lambda _: [Layer(digest="d", size=size, made_by="x")])
    build.check_size("cuda", one)
    size = 10**11
    with pytest.raises(FindingsError, match="its budget is"):
        build.check_size("cuda", one)
