from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from checkout import record_line

from paperlora.environment.core import installed, intact

if TYPE_CHECKING:
    from pathlib import Path


def test_a_record_is_read_as_claims(site: Path) -> None:
    alpha = installed.distributions([site])[0]
    listed = intact.claims(alpha)
    assert [claim.path for claim in listed] == [
        "alpha/__init__.py",
        *(f"alpha-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")),
    ]
    assert listed[0].place == str(site / "alpha/__init__.py")


def test_an_empty_file_may_be_shared_and_another_may_not(site: Path, locked: Path) -> None:
    for content, findings in ((b"", 0), (b"#", 1)):
        (site / "shared.py").write_bytes(content)
        line = record_line("shared.py", content)
        for name in ("alpha-1.0", "beta-2.0"):
            path = site / f"{name}.dist-info/RECORD"
            kept = [
                one for one in path.read_text().splitlines(keepends=True) if "shared" not in one
            ]
            path.write_text("".join([*kept, line]))
        found = intact.findings([site], prefix=site.parent.parent, root=locked)
        assert len(found) == findings


def test_of_a_runtime_only_what_is_ours_is_looked_at(site: Path, locked: Path) -> None:
    (site / "alpha/__init__.py").unlink()
    (site / "stray.py").write_text("")
    options = {"prefix": site.parent.parent, "root": locked}
    assert len(intact.findings([site], **options)) == 2
    assert intact.findings([site], only={"beta"}, **options) == []
    assert len(intact.findings([site], only={"alpha"}, **options)) == 1


@pytest.mark.slow
def test_every_file_of_this_environment_is_as_its_wheel_brought_it() -> None:
    assert intact.findings() == []
