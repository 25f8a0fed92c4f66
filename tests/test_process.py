import ast
import re
import sys
import time

import pytest

from paperlora import process
from paperlora.files import ROOT


def python(code, **limits):
    return process.run([sys.executable, "-c", code], **limits)


def test_output_and_exit_code_are_handed_back():
    done = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.code, done.stdout, done.stderr, done.timed_out) == (3, b"out\n", "err\n", False)


def test_a_child_past_its_time_is_killed():
    began = time.monotonic()
    done = python("while True: pass", timeout=0.5)
    assert done.timed_out
    assert done.code < 0
    assert time.monotonic() - began < 30


def test_nothing_passes_through_a_shell():
    done = python("import sys; print(sys.argv[1])")
    assert done.code != 0
    done = process.run([sys.executable, "-c", "import sys; print(sys.argv[1])", "$(echo no); *"])
    assert done.stdout == b"$(echo no); *\n"


def test_a_program_that_is_not_there_is_127():
    assert process.call(["/nonexistent/program"]) == 127


def test_a_command_that_runs_to_its_end_may_be_missing_too():
    done = process.run(["/nonexistent/program"])
    assert (done.code, done.stdout) == (127, b"")
    assert "/nonexistent/program" in done.stderr


def test_a_call_runs_where_it_is_told_and_leaves_stdout_alone(tmp_path, capfd):
    code = "import os, sys; print(os.getcwd(), os.environ['WORD']); sys.exit(3)"
    command = [sys.executable, "-c", code]
    assert process.call(command, cwd=tmp_path, environment={"WORD": "said"}) == 3
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", f"{tmp_path} said\n")


def test_what_a_child_prints_can_be_read_as_it_comes():
    with process.stream([sys.executable, "-c", "print('one'); print('two')"]) as child:
        assert [line.strip() for line in child.stdout] == [b"one", b"two"]
    assert child.returncode == 0


def test_a_child_can_be_fed():
    code = "import sys; sys.exit(len(sys.stdin.buffer.read()))"
    with process.stream([sys.executable, "-c", code], feed=True) as child:
        child.stdin.write(b"seven77")
    assert child.returncode == 7


def test_a_block_that_fails_leaves_no_child_behind():
    with (
        pytest.raises(ZeroDivisionError),
        process.stream([sys.executable, "-c", "import time; time.sleep(60)"]) as child,
    ):
        raise ZeroDivisionError
    assert child.returncode < 0


# By their last word, however the module that has them is called there.
STARTERS = re.compile(
    r"(os\.)?(system|popen\d?|exec[lv]\w*|spawn\w*|posix_spawnp?|fork(pty)?|startfile)"
    r"|subprocess\w*|pty|multiprocessing|_posixsubprocess|runpy|create_subprocess\w*"
    r"|ProcessPoolExecutor|process_map|__import__|import_module"
)


def starts_processes(source):
    """Return the names by which a module could start a process without paperlora.process."""
    found = []
    for node in ast.walk(ast.parse(source)):
        words = []
        if isinstance(node, ast.Import):
            words = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.ImportFrom) and node.module:
            words = [*node.module.split("."), *(alias.name for alias in node.names)]
            if node.module in {"os", "posix"} and "*" in words:
                found.append(f"from {node.module} import *")
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) != "platform":
            words = [node.attr]
        elif isinstance(node, ast.Name) and node.id in {"__import__", "import_module"}:
            words = [node.id]
        found += [word for word in words if STARTERS.fullmatch(word)]
    return found


def test_only_two_modules_start_processes():
    source = ROOT / "src/paperlora"
    found = {
        str(path.relative_to(source)): names
        for path in source.rglob("*.py")
        if (names := starts_processes(path.read_text(encoding="utf-8")))
    }
    assert sorted(found) == ["pipeline/parse/forks.py", "process.py"]


@pytest.mark.parametrize(
    "line",
    [
        "import subprocess",
        "import subprocess as s",
        "from subprocess import run",
        "def f():\n    import multiprocessing.pool",
        "import os; os.system('x')",
        "from os import execv",
        "import os; os.execvp('x', [])",
        "import os; os.posix_spawn('x', [], {})",
        "import os; os.fork()",
        "import pty",
        "from concurrent.futures import ProcessPoolExecutor",
        "import asyncio; asyncio.create_subprocess_exec('x')",
        "import torch.multiprocessing",
        "import os as o; o.popen('x')",
        "from os import *",
        "import concurrent.futures as c; c.ProcessPoolExecutor()",
        "loop.subprocess_exec(None, 'x')",
        "from paperlora import process; process.subprocess.run([])",
        "import shutil; shutil.os.system('x')",
        "import runpy",
        "__import__('subprocess').run([])",
        "import importlib; importlib.import_module('subprocess')",
        "from importlib import import_module",
    ],
)
def test_a_module_that_starts_one_is_found(line):
    assert starts_processes(line)
    harmless = "import os, platform; os.environ; os.replace('a', 'b'); platform.system()"
    assert not starts_processes(harmless)
