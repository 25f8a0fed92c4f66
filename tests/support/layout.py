"""The layout of ``src``: its modules, what imports what, and what breaks the rules of the tree."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

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
    elif isinstance(statement, ast.ImportFrom) and statement.level:
        yield "a relative module"  # nothing here needs one: no rule allows it
    elif isinstance(statement, ast.ImportFrom) and statement.module:
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
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            todo += statement.orelse
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= set(imported(statement, names))
            inner = (ast.stmt, ast.ExceptHandler, ast.match_case)
            todo += [node for node in ast.iter_child_nodes(statement) if isinstance(node, inner)]
    return found


def place(module: str) -> tuple[str, str]:
    """Return the half and the folder of a module: ``("pipeline", "parse")``; ``""`` where none."""
    parts = [*module.split(".")[1:], "", ""]
    return parts[0], parts[1]


def reach(source: Path) -> dict[str, set[str]]:
    """Return module → the modules that it imports, also through others and for types."""
    found = modules(source)
    reached = {module: imports(path, set(found)) for module, path in found.items()}
    growing = True
    while growing:
        growing = False
        for module, others in reached.items():
            further = set().union(*(reached.get(other, set()) for other in others)) - others
            growing = growing or bool(further)
            reached[module] = others | further
    return reached


def wrong_directions(source: Path) -> list[str]:
    """Return each import to a folder on the right, or from the environment to the pipeline.

    An import through a module that stands in no folder counts too.
    """
    wrong = []
    for module, others in reach(source).items():
        half, folder = place(module)
        for other in sorted(others):
            to_half, to_folder = place(other)
            right = half == to_half == "pipeline" and folder in ORDER and to_folder in ORDER
            right = right and ORDER.index(to_folder) > ORDER.index(folder)
            apart = half == to_half == "environment" and {folder, to_folder} <= set(ENVIRONMENT)
            apart = apart and to_folder not in (folder, *ENVIRONMENT.get(folder, ()))
            relative = other == "a relative module"
            if right or apart or relative or (half, to_half) == ("environment", "pipeline"):
                wrong.append(f"{module} imports {other}")
    return wrong


def busy_folders(source: Path) -> list[str]:
    """Return each ``__init__`` that imports this package or a slow library.

    It runs before every module of its folder, so its imports would be those of all of them.
    """
    found = modules(source)
    return [
        f"{module} imports {name}"
        for module, path in found.items()
        if path.name == "__init__.py"
        for name in sorted(imports(path, set(found)))
        if name.split(".")[0] in {*HEAVY, "paperlora"}
    ]


def cycles(source: Path) -> list[str]:
    """Return the modules that import themselves through others, imports for types included."""
    return sorted(module for module, others in reach(source).items() if module in others)


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
            f"{module} imports {name}"
            for name in sorted(seen)
            if name.split(".")[0] in HEAVY or name == "safetensors.torch"
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
