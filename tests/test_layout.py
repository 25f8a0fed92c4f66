"""Hold the layout of ``src``: which folder may import which, what is imported when, and sizes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = ROOT / "src/paperlora"
ORDER = ("fetch", "parse", "dataset", "model", "train", "evaluate", "report")
"""The folders of the pipeline from left to right: none imports one to its right."""
ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "core": (),
    "locks": ("core",),
    "colab": ("core", "locks"),
    "host": ("core",),
    "image": ("core",),
}
"""The folders of the environment, and which others each one may import."""
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "triton"}
"""Libraries that take seconds to import: only modules that load, train or generate import them."""
MAY_BE_HEAVY = (
    "paperlora.pipeline.model.",
    "paperlora.pipeline.train.",
    "paperlora.pipeline.evaluate.evaluate",
    "paperlora.pipeline.evaluate.infer",
)
ALWAYS_QUICK = ("paperlora.pipeline.train.plan",)  # `doctor` imports it
MOST_LINES = 300


def modules(source: Path) -> dict[str, Path]:
    """Return name → path of every module below the package folder ``source``."""
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(statement: ast.stmt, names: set[str]) -> Iterator[str]:
    """Yield the modules that an import statement names, as far down as they are in ``names``."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
        for alias in statement.names:
            full = f"{statement.module}.{alias.name}"
            yield full if full in names else statement.module


def imports(path: Path, names: set[str]) -> set[str]:
    """Return every module that ``path`` imports, wherever the statement is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.stmt))
    return {name for statement in statements for name in imported(statement, names)}


def top_imports(path: Path, names: set[str]) -> set[str]:
    """Return the modules that are imported when ``path`` is: not in functions, not for types."""
    todo: list[ast.stmt] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    found: set[str] = set()
    while todo:
        statement = todo.pop()
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            todo += statement.orelse
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= set(imported(statement, names))
            todo += [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)]
    return found


def place(module: str) -> tuple[str, str]:
    """Return the half and the folder of a module: ``("pipeline", "parse")``; ``""`` where none."""
    parts = [*module.split(".")[1:], "", ""]
    return parts[0], parts[1]


def wrong_directions(source: Path) -> list[str]:
    """Return each import that goes from left to right, or from the environment to the pipeline."""
    found = modules(source)
    wrong = []
    for module, path in found.items():
        half, folder = place(module)
        for other in sorted(imports(path, set(found))):
            to_half, to_folder = place(other)
            right = half == to_half == "pipeline" and folder in ORDER and to_folder in ORDER
            right = right and ORDER.index(to_folder) > ORDER.index(folder)
            apart = half == to_half == "environment" and {folder, to_folder} <= set(ENVIRONMENT)
            apart = apart and to_folder not in (folder, *ENVIRONMENT.get(folder, ()))
            if right or apart or (half, to_half) == ("environment", "pipeline"):
                wrong.append(f"{module} imports {other}")
    return wrong


def cycles(source: Path) -> list[str]:
    """Return the modules that import themselves through others, imports for types included."""
    found = modules(source)
    graph = {module: imports(path, set(found)) & set(found) for module, path in found.items()}
    reach = {module: set(others) for module, others in graph.items()}
    growing = True
    while growing:
        growing = False
        for module, others in reach.items():
            further = set().union(*(reach[other] for other in others)) - others
            growing = growing or bool(further)
            reach[module] = others | further
    return sorted(module for module, others in reach.items() if module in others)


def heavy(source: Path) -> list[str]:
    """Return each slow library that comes with a module that must be quick to import.

    It may come through other modules, by what these import at their top.
    """
    found = modules(source)
    graph = {module: top_imports(path, set(found)) for module, path in found.items()}
    wrong = []
    for module in found:
        if f"{module}.".startswith(MAY_BE_HEAVY) and module not in ALWAYS_QUICK:
            continue
        todo, seen = [module], {module}
        while todo:
            further = graph.get(todo.pop(), set()) - seen
            seen |= further
            todo += further
        wrong += [
            f"{module} imports {name}" for name in sorted(seen) if name.split(".")[0] in HEAVY
        ]
    return wrong


def long_modules(source: Path) -> list[str]:
    """Return the modules that have more than ``MOST_LINES`` lines."""
    sizes = {
        module: len(path.read_text(encoding="utf-8").splitlines())
        for module, path in modules(source).items()
    }
    return [f"{module} has {size} lines" for module, size in sizes.items() if size > MOST_LINES]


def undescribed(source: Path) -> list[str]:
    """Return the folders of modules whose ``__init__`` is missing or has no docstring."""
    folders = {path.parent for path in modules(source).values()}
    return sorted(
        str(folder.relative_to(source.parent))
        for folder in folders
        if not (folder / "__init__.py").is_file()
        or not ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    )


CHECKS = (wrong_directions, cycles, heavy, long_modules, undescribed)


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
