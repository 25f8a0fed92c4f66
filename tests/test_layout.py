"""Hold the layout of ``src``: which folder may import which, what is imported when, and sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from layout import (
    ENVIRONMENT,
    ORDER,
    SOURCE,
    busy_folders,
    cycles,
    heavy,
    long_modules,
    undescribed,
    wrong_directions,
)

if TYPE_CHECKING:
    from pathlib import Path

CHECKS = (wrong_directions, busy_folders, cycles, heavy, long_modules, undescribed)


@pytest.mark.parametrize("check", CHECKS)
def test_the_source_keeps_its_layout(check) -> None:
    assert check(SOURCE) == []


def test_every_folder_has_its_place_in_the_order() -> None:
    def folders(half: str) -> set[str]:
        return {path.name for path in (SOURCE / half).iterdir() if list(path.glob("*.py"))}

    assert folders("pipeline") == set(ORDER)
    assert folders("environment") == set(ENVIRONMENT)


PIPELINE = "paperlora.pipeline"
CORE = "paperlora.environment.core"


@pytest.mark.parametrize(
    ("check", "file", "text", "problem"),
    [
        # Each pair differs in the point that the check is about.
        (wrong_directions, "pipeline/parse/a.py", f"from {PIPELINE}.fetch import b", ""),
        (
            wrong_directions,
            "pipeline/parse/a.py",
            f"from {PIPELINE}.dataset import b",
            f"{PIPELINE}.parse.a imports {PIPELINE}.dataset",
        ),
        (
            wrong_directions,
            "pipeline/model/a.py",
            f"def f():\n    import {PIPELINE}.report.b",
            f"{PIPELINE}.model.a imports {PIPELINE}.report.b",
        ),
        (wrong_directions, "environment/colab/a.py", f"import {CORE}.b", ""),
        (
            wrong_directions,
            "environment/core/a.py",
            "from paperlora.environment.locks import b",
            f"{CORE}.a imports paperlora.environment.locks",
        ),
        (
            wrong_directions,
            "environment/host/a.py",
            "from paperlora.environment.locks import b",
            "paperlora.environment.host.a imports paperlora.environment.locks",
        ),
        (
            wrong_directions,
            "environment/core/a.py",
            f"if TYPE_CHECKING:\n    from {PIPELINE} import config",
            f"{CORE}.a imports {PIPELINE}",
        ),
        (wrong_directions, "pipeline/a.py", "import paperlora.environment.core.b", ""),
        (
            wrong_directions,
            "pipeline/parse/a.py",
            "from ..dataset import b",
            f"{PIPELINE}.parse.a imports a relative module",
        ),
        (busy_folders, "pipeline/__init__.py", '"""Do."""\nimport logging', ""),
        (
            busy_folders,
            "pipeline/model/__init__.py",
            '"""Do."""\nimport torch',
            f"{PIPELINE}.model imports torch",
        ),
        (
            busy_folders,
            "pipeline/__init__.py",
            f'"""Do."""\nfrom {PIPELINE} import report',
            f"{PIPELINE} imports {PIPELINE}",
        ),
        (cycles, "a.py", "import paperlora.b", ""),
        (cycles, "a.py", "import paperlora.a", "paperlora.a"),
        (heavy, "pipeline/parse/a.py", "def f():\n    import torch", ""),
        (heavy, "pipeline/parse/a.py", "if TYPE_CHECKING:\n    import torch", ""),
        (heavy, "pipeline/model/a.py", "import torch", ""),
        (
            heavy,
            "pipeline/parse/a.py",
            "try:\n    from torch.nn import Linear\nexcept ImportError:\n    pass",
            f"{PIPELINE}.parse.a imports torch.nn",
        ),
        (
            heavy,
            "pipeline/parse/a.py",
            "try:\n    import x\nexcept ImportError:\n    import torch",
            f"{PIPELINE}.parse.a imports torch",
        ),
        (
            heavy,
            "pipeline/parse/a.py",
            "if not TYPE_CHECKING:\n    import torch",
            f"{PIPELINE}.parse.a imports torch",
        ),
        (
            heavy,
            "pipeline/parse/a.py",
            "import safetensors.torch",
            f"{PIPELINE}.parse.a imports safetensors.torch",
        ),
        (heavy, "pipeline/train/plan.py", "import torch", f"{PIPELINE}.train.plan imports torch"),
        (long_modules, "a.py", "x = 1\n" * 300, ""),
        (long_modules, "a.py", "x = 1\n" * 301, "paperlora.a has 301 lines"),
        (undescribed, "b/__init__.py", '"""Do something."""', ""),
        (undescribed, "b/__init__.py", "# nothing", "paperlora/b"),
        (undescribed, "b/a.py", "", "paperlora/b"),
    ],
)
def test_a_made_up_tree_that_breaks_a_rule_is_found(
    tmp_path: Path, check, file: str, text: str, problem: str
) -> None:
    source = tmp_path / "paperlora"
    path = source / file
    path.parent.mkdir(parents=True)
    (source / "__init__.py").write_text('"""Do something."""')
    path.write_text(text)
    assert check(source) == ([problem] if problem else [])


def test_a_detour_to_the_right_is_found(tmp_path: Path) -> None:
    source = tmp_path / "paperlora"
    for name, text in {
        "pipeline/fetch/a.py": f"from {PIPELINE} import helpers",
        "pipeline/helpers.py": f"from {PIPELINE}.report import b",
        "pipeline/report/b.py": "",
    }.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    assert f"{PIPELINE}.fetch.a imports {PIPELINE}.report.b" in wrong_directions(source)


def test_a_cycle_through_several_modules_is_found(tmp_path: Path) -> None:
    source = tmp_path / "paperlora"
    source.mkdir()
    for name, other in {"a": "b", "b": "c", "c": "a", "d": "a"}.items():
        (source / f"{name}.py").write_text(f"def f():\n    import paperlora.{other}\n")
    assert cycles(source) == ["paperlora.a", "paperlora.b", "paperlora.c"]


def test_a_slow_import_through_another_module_is_found(tmp_path: Path) -> None:
    source = tmp_path / "paperlora"
    (source / "pipeline/model").mkdir(parents=True)
    (source / "pipeline/model/load.py").write_text("import torch\n")
    chain = source / "pipeline/chain.py"
    chain.write_text(f"def f():\n    from {PIPELINE}.model import load\n")
    assert heavy(source) == []
    chain.write_text(f"from {PIPELINE}.model import load\n")
    assert heavy(source) == [f"{PIPELINE}.chain imports torch"]
