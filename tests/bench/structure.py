"""Measures the layout: modules, lines, functions and imports, of this checkout or of another one.

    env/nox -s bench -- structure [CHECKOUT ...]

Lines of code are those that are neither blank, comment nor docstring. A module with one importer is
imported by exactly one other module of ``src``.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path
from statistics import median

from layout import cycles, imports, modules, wrong_directions

from paperlora.files import ROOT

SKIPPED = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(text: str) -> int:
    """Return the number of lines that are neither blank, comment nor docstring."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for child in body if isinstance(body, list) else []:
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                docstrings |= set(range(child.lineno, child.end_lineno + 1))
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in SKIPPED
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(code - docstrings)


def measure(checkout: Path) -> dict[str, object]:
    """Return what is measured of one checkout, by name."""
    source = checkout / "src" / "paperlora"
    found = modules(source)
    texts = {name: path.read_text(encoding="utf-8") for name, path in found.items()}
    own = {name: text for name, text in texts.items() if found[name].name != "__init__.py"}
    lengths = {name: len(text.splitlines()) for name, text in own.items()}
    functions = {
        f"{name}.{node.name}": node.end_lineno - node.lineno + 1
        for name, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, DEFINITIONS)
    }
    graph = {name: imports(path, set(found)) - {name} for name, path in found.items()}
    importers = [sum(name in others for others in graph.values()) for name in own]
    longest, largest = max(lengths, key=lengths.get), max(functions, key=functions.get)
    tests = [path.read_text(encoding="utf-8") for path in (checkout / "tests").rglob("*.py")]
    return {
        "modules": len(own),
        "lines of src": sum(len(text.splitlines()) for text in texts.values()),
        "of these code": sum(map(code_lines, texts.values())),
        "lines of tests": sum(len(text.splitlines()) for text in tests),
        "median module": median(lengths.values()),
        "longest module": f"{lengths[longest]} ({longest})",
        "functions": len(functions),
        "median function": median(functions.values()),
        "longest function": f"{functions[largest]} ({largest})",
        "modules with one importer": importers.count(1),
        "modules in an import cycle": len(cycles(source)),
        "imports to the right": len(wrong_directions(source)),
    }


if __name__ == "__main__":
    checkouts = [Path(name) for name in sys.argv[1:]] or [ROOT]
    columns = [measure(checkout) for checkout in checkouts]
    for row in columns[0]:
        print(f"{row:28}", *(f"{column[row]!s:>48}" for column in columns))
