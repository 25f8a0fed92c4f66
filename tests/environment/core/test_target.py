from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from paperlora.environment.core import target as targets
from paperlora.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def test_unknown_target_names_the_near_one(inputs: Path) -> None:
    with pytest.raises(InputError, match=r"no target 'cudda' → use cuda"):
        targets.load("cudda", root=inputs)


def test_damaged_toml_names_the_file_and_the_place(inputs: Path) -> None:
    (inputs / "env/stages.toml").write_text("[[stage]\n")
    with pytest.raises(InputError, match=r"stages\.toml is not TOML: .*line 1"):
        targets.load("cuda", root=inputs)


def test_missing_runtime_names_the_file(inputs: Path) -> None:
    (inputs / "env/colab/r1.toml").unlink()
    with pytest.raises(InputError, match=r"r1\.toml is missing"):
        targets.load("cuda", root=inputs)


def test_a_tool_among_the_packages_has_the_version_of_the_tool(inputs: Path) -> None:
    base, model = targets.stages(root=inputs)
    assert [str(r) for r in base.requirements] == ["alpha"]
    assert [str(r) for r in model.requirements] == ["beta==2.0", "uv==0.9"]
    assert [base.slice_name, model.slice_name] == ["10-base.txt", "20-model.txt"]


@pytest.mark.parametrize(
    ("file", "old", "new", "differs"),
    [
        ("stages.toml", "the point", "another reason", False),
        ("stages.toml", "import alpha, beta", "import beta", False),
        ("stages.toml", "==2.0", "==2.1", True),
        ("targets.toml", "2026-01-01", "2026-02-01", True),
        ("targets.toml", "uv==0.9", "uv==0.8", True),
        ("targets.toml", "nox==1", "nox==2", False),
        ("colab/r1.toml", "c0ffee", "decade", True),
        ("colab/r1.toml", "1.0+cu1", "1.1+cu1", True),
    ],
)
def test_digest_covers_what_decides_the_resolution(
    inputs: Path, file: str, old: str, new: str, *, differs: bool
) -> None:
    before = targets.load("cuda", root=inputs).input_digest
    path = inputs / "env" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert (targets.load("cuda", root=inputs).input_digest != before) is differs


def test_swapped_stages_change_the_digest(inputs: Path) -> None:
    before = targets.load("cuda", root=inputs).input_digest
    path = inputs / "env/stages.toml"
    head, first, second = path.read_text().split("[[stage]]")
    path.write_text(f"{head}[[stage]]{second}[[stage]]{first}")
    assert targets.load("cuda", root=inputs).input_digest != before


def test_shipped_stages_each_have_packages_with_reasons_and_a_probe() -> None:
    stages = targets.stages()
    assert [stage.name for stage in stages] == [
        "base",
        "torch",
        "model",
        "papers",
        "report",
        "test",
    ]
    for stage in stages:
        assert stage.requirements
        assert all(requirement.why for requirement in stage.requirements), stage.name
        compile(stage.probe, stage.name, "exec")
        assert "import" in stage.probe
