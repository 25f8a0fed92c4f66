"""README, docs/ and the files beside them: what they name exists, and their commands are accepted."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import tomllib
from functools import cache
from typing import TYPE_CHECKING

import pytest
import yaml

import paperlora
from paperlora import __main__, errors
from paperlora.environment.image import build
from paperlora.errors import InputError
from paperlora.files import ROOT, sha256_file
from paperlora.pipeline import config_file

if TYPE_CHECKING:
    from pathlib import Path

README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
LONGEST = 1300
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of https://www.apache.org/licenses/LICENSE-2.0.txt."""

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SESSIONS = re.compile(r"\bnox -s ([a-z]+(?: [a-z]+)*)(?: +-- +([^`|\n]*))?")
COMMANDS = re.compile(r"(?:-m paperlora|paperlora:(?:cuda|tools)) ([a-z]+(?: [a-z]+)*)([^`|\n]*)")
PATHS = re.compile(
    r"(?<![\w/.-])(?:src|tests|env|docs|docker|lockfiles|\.github|\.ci)/[\w./*-]*[\w*]"
)
OPTION = re.compile(r"(?<!\S)--[a-z][\w-]*")
COMMENT = re.compile(r"\s#.*")


def texts(*beside: str) -> list[pytest.ParameterSet]:
    """Return every page as a parameter: README, docs/ and the named files."""
    pages = [README, *DOCS, *(ROOT / name for name in beside)]
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


def too_long(text: str) -> bool:
    return len(text.split()) > LONGEST


def anchors(text: str) -> set[str]:
    """Return the anchors that a hub makes from the headings of a page."""
    titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(text: str, folder: Path) -> list[str]:
    """Return the relative links that lead to no file, or to no heading of it."""
    broken = []
    for link in LINK.findall(text):
        name, _, anchor = link.partition("#")
        page = folder / name
        if "://" in link:
            continue
        there = page.is_file() or not name  # without a name it is this page
        if not there or (
            anchor and anchor not in anchors(page.read_text("utf-8") if name else text)
        ):
            broken.append(link)
    return broken


def test_a_link_into_the_same_page_is_followed():
    text = "# Build\n\n[above](#build) and [nowhere](#built)\n"
    assert broken_links(text, ROOT / "docs") == ["#built"]


def wrong_targets(text: str) -> list[str]:
    """Return the targets that a page names and that env/targets.toml does not have."""
    known = tomllib.loads((ROOT / "env/targets.toml").read_text(encoding="utf-8"))["target"]
    return [name for name in re.findall(r"--target ([a-z][\w.-]*)", text) if name not in known]


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.name)
def test_targets_are_there(page):
    text = page.read_text(encoding="utf-8")
    assert wrong_targets(text) == []
    assert wrong_targets(f"{text} --target colab-2026.05") == ["colab-2026.05"]


def missing_paths(text: str) -> list[str]:
    """Return what looks like a path of the repository and is not there."""
    return [path for path in PATHS.findall(text) if not any(ROOT.glob(path))]


@cache
def sessions() -> dict[str, bool]:
    """Return the sessions of noxfile.py: name → whether it runs the command of the same name."""
    found = {}
    for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            if any("nox.session" in ast.unparse(mark) for mark in node.decorator_list):
                found[node.name] = "without_environment" in ast.unparse(node)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMMANDS":
            found |= dict.fromkeys(ast.literal_eval(node.value), True)
    return found


@cache
def help_of(name: str) -> str | None:
    """Return what describes the options of a session or command, None if there is no such one."""
    if name == "install":
        return (ROOT / "env/install.sh").read_text(encoding="utf-8").partition("\nset ")[0]
    if name == "bench":
        return (ROOT / "tests/bench/install.py").read_text(encoding="utf-8")
    if name != "image" and not sessions().get(name, True):
        return ""  # a session that takes no options of this project
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            build.main(["--help"]) if name == "image" else __main__.main([name, "--help"])
        except SystemExit as left:
            return out.getvalue() if left.code == 0 else None
    return None


def wrong_commands(text: str) -> list[str]:
    """Return what is wrong with the commands of a page: unknown names, options and settings."""
    text = COMMENT.sub("", text)
    wrong = []
    for names, _ in SESSIONS.findall(text):
        wrong += [f"no session {name}" for name in names.split() if name not in sessions()]
    for names, rest in (*SESSIONS.findall(text), *COMMANDS.findall(text)):
        for name in names.split():
            described = help_of(name)
            if described is None:
                wrong.append(f"no command {name}")
                continue
            known = {"--help", *re.findall(r"--[a-z][\w-]*", described)}
            wrong += [f"{name} has no {one}" for one in OPTION.findall(rest) if one not in known]
    settings = re.findall(r"--set '?(?!KEY=VALUE)([^\s'`]+)", text)
    configurations = re.findall(r"--config ([a-z]+)(?![\w.])", text)
    for name, overrides in [("demo", settings), *((name, []) for name in configurations)]:
        try:
            config_file.load(name, overrides)
        except InputError as error:
            wrong.append(str(error))
    return wrong


def test_the_readme_can_be_read_in_one_go():
    text = README.read_text(encoding="utf-8")
    assert not too_long(text), f"{len(text.split())} words"
    assert too_long(text + " word" * LONGEST)


def wrong_exit_codes(text):
    """Return the errors whose exit code has another meaning, or none, in the table of the README."""
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE))
    words = {
        errors.FindingsError: "check",
        errors.InputError: "input",
        errors.EnvironmentNotVerifiedError: "environment",
        errors.NetworkError: "network",
        errors.DataError: "data",
    }
    return [
        kind.__name__ for kind, word in words.items() if word not in rows.get(str(kind.code), "")
    ]


def test_the_readme_has_the_exit_codes():
    text = README.read_text(encoding="utf-8")
    assert wrong_exit_codes(text) == []
    assert wrong_exit_codes(text.replace("| 4 | network", "| 4 | disk")) == ["NetworkError"]
    assert wrong_exit_codes(text.replace("| 5 | data", "| 6 | data")) == ["DataError"]


def test_the_readme_links_every_page():
    linked = set(LINK.findall(README.read_text(encoding="utf-8")))
    pages = [str(page.relative_to(ROOT)) for page in DOCS]
    assert len(pages) > 5
    assert [page for page in pages if page not in linked] == []
    for name in ("LICENSE", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CITATION.cff"):
        assert name in linked


@pytest.mark.parametrize("page", texts("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))
def test_links_lead_somewhere(page):
    assert broken_links(page.read_text(encoding="utf-8"), page.parent) == []


@pytest.mark.parametrize("page", texts("CONTRIBUTING.md", "SECURITY.md"))
def test_paths_are_there(page):
    assert missing_paths(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", texts("CONTRIBUTING.md", "SECURITY.md"))
def test_commands_are_accepted(page):
    assert wrong_commands(page.read_text(encoding="utf-8")) == []


def test_commands_are_found():
    text = README.read_text(encoding="utf-8")
    named = {name for names, _ in SESSIONS.findall(text) for name in names.split()}
    assert {"train", "eval", "tests", "infer", "fetch", "compare", "image", "doctor"} <= named
    assert ("train eval", "") in COMMANDS.findall(text)


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("env/nox -s trian eval", "no session trian"),
        ("`env/nox -s train eval -- --paper x`", "train has no --paper"),
        ("env/nox -s infer -- --papers x", "infer has no --papers"),
        ("env/nox -s image -- --twice cuda", "image has no --twice"),
        ("env/nox -s install -- --bytecode", "install has no --bytecode"),
        ("env/nox -s bench -- --goal cuda", "bench has no --goal"),
        ("docker run --rm paperlora:cuda verfy --files", "no command verfy"),
        ("docker run --rm paperlora:cuda verify --flies", "verify has no --flies"),
        ("python3 -m paperlora train --stop", "train has no --stop"),
        ("env/nox -s train -- --set train.max_stepps=3", "max_stepps"),
        ("env/nox -s train -- --set max_steps=3", "max_steps"),
        ("env/nox -s train -- --config demmo", "demmo"),
    ],
)
def test_a_wrong_command_is_found(command, wrong):
    assert wrong in " ".join(wrong_commands(f"Some text.\n\n    {command}      # comment\n"))


def test_a_broken_link_and_a_missing_path_are_found():
    good = "[a](LICENSE) and [b](docs/measurements.md#images), `src/paperlora/` and env/*.toml"
    assert broken_links(good, ROOT) == missing_paths(good) == []
    assert broken_links("![a](docs/gone.png)", ROOT) == ["docs/gone.png"]
    assert broken_links("[a](docs/runs.md#gone)", ROOT) == ["docs/runs.md#gone"]
    assert missing_paths("see `src/paperlora/gone.py`.") == ["src/paperlora/gone.py"]


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["project"]["dynamic"] == ["version"]
    source = ROOT / project["tool"]["hatch"]["version"]["path"]
    assert source.samefile(paperlora.__file__)
    assert str(citation["version"]) == paperlora.__version__
    assert re.findall(r"^## \[(\d.*?)\]", changes, re.MULTILINE)[0] == paperlora.__version__


def test_one_licence_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["license"] == citation["license"] == "Apache-2.0"
    assert sha256_file(ROOT / "LICENSE") == APACHE_2
    for name in project["license-files"]:
        assert (ROOT / name).is_file()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_an_issue_form_asks_for_what_helps(form):
    text = form.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    if form.name == "config.yml":
        assert content == {"blank_issues_enabled": False}
        return
    labels = {
        field["id"]: field["attributes"]["label"] for field in content["body"] if "id" in field
    }
    assert "env/nox -s doctor -- --json" in labels["doctor"]
    assert "command" in labels["command"]
    assert wrong_commands(text) == []
