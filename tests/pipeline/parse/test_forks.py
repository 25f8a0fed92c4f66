"""The limits of a forked child, and what happens when a child, the server or the parent ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from paperlora.files import ROOT
from paperlora.pipeline.parse.forks import Answer, ForkServer, Limits, ServerEndedError

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
# A server whose children run the code in a request and answer with the value of `result`.
SERVER = """
import json, os, resource, signal, sys, time

def prepare():
    global ready
    ready = True

def answer(code):
    names = {**globals(), "result": None}
    exec(code, names)
    return json.dumps(names["result"]).encode()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which a server imports its modules."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
    (tmp_path / "served.py").write_text(SERVER)
    return tmp_path


@pytest.fixture
def server(place: Path) -> Iterator[ForkServer]:
    one = ForkServer("served")
    yield one
    one.close()


def run(server: ForkServer, code: str, *, seconds: float = 20, mib: int = 512) -> Answer:
    limits = Limits(seconds=seconds, memory_bytes=mib * MIB, output_bytes=MIB)
    return server.run(code, limits)


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def wait_until_gone(*pids: int) -> bool:
    deadline = time.monotonic() + 10
    while not all(map(gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return all(map(gone, pids))


def test_each_request_gets_a_new_child_and_its_answer(server: ForkServer) -> None:
    answers = [run(server, "result = os.getpid(), os.getppid()") for _ in range(3)]
    assert {answer.code for answer in answers} == {0}
    children, parents = zip(*(json.loads(answer.output) for answer in answers), strict=True)
    assert len(set(children)) == 3
    assert set(parents) == {server._process.pid}
    assert run(server, "result = ready").output == b"true"


def test_a_child_past_its_time_is_killed(server: ForkServer) -> None:
    began = time.monotonic()
    for code in ("while True: pass", "time.sleep(60)"):
        answer = run(server, code, seconds=0.5)
        assert answer.timed_out
        assert answer.code < 0
    assert time.monotonic() - began < 10
    assert run(server, "result = 1").output == b"1"


def test_the_kernel_holds_the_time_limit_too(server: ForkServer) -> None:
    # As when the parent is stopped: the limit on processor time needs no parent.
    code = (
        "resource.setrlimit(resource.RLIMIT_CPU, (1, resource.getrlimit(resource.RLIMIT_CPU)[1]))"
        "\nwhile True: pass"
    )
    assert run(server, code, seconds=15) == Answer(code=-signal.SIGXCPU, timed_out=True)


def test_a_child_past_its_memory_fails_and_a_modest_one_does_not(server: ForkServer) -> None:
    grab = "result = len(bytearray({}))"
    assert run(server, grab.format(600 * MIB)).code == 1
    assert run(server, grab.format(6 * MIB)).output == str(6 * MIB).encode()


def test_a_child_with_too_much_output_is_killed(server: ForkServer) -> None:
    assert run(server, f"result = 'x' * {2 * MIB}").too_long
    assert run(server, "os.write(1, b'x' * 100)\nwhile True: os.write(1, b'x' * 65536)").too_long
    answer = run(server, f"result = 'x' * {MIB - 2}")
    assert (answer.code, len(answer.output)) == (0, MIB)


def test_a_child_writes_no_file_and_may_start_no_process(server: ForkServer, place: Path) -> None:
    path = place / "written"
    assert (
        run(server, f"os.write(os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY), b'x')").code == 1
    )
    assert not path.stat().st_size
    kinds = ("FSIZE", "CORE", "NPROC")  # the last one does not hold for root
    limits = ", ".join(f"resource.getrlimit(resource.RLIMIT_{kind})" for kind in kinds)
    assert run(server, f"result = [{limits}]").output == b"[[0, 0], [0, 0], [0, 0]]"


def test_a_child_has_no_file_of_another_one(server: ForkServer) -> None:
    files = (
        "result = sorted(os.readlink(f'/proc/self/fd/{n}').partition(':')[0]"
        " for n in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{n}'))"
    )
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(run, server, "time.sleep(1.5)\nresult = 2")
        time.sleep(0.3)
        found = run(server, files)
        assert not slow.done()
        assert found.output == b'["/dev/null", "/dev/null", "pipe", "socket"]'
        assert slow.result().output == b"2"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_signal_that_ended_a_child_is_reported(server: ForkServer, number: int) -> None:
    assert run(server, f"os.kill(os.getpid(), {number})") == Answer(code=-number)


def test_a_child_does_not_end_on_ctrl_c(server: ForkServer) -> None:
    code = "\n".join(f"os.kill(os.getpid(), signal.{one})" for one in ("SIGINT", "SIGTERM"))
    assert run(server, f"{code}\nresult = 1").output == b"1"


def test_many_threads_share_one_server(server: ForkServer) -> None:
    with ThreadPoolExecutor(16) as pool:
        codes = [f"result = {number}" for number in range(200)]
        answers = list(pool.map(lambda code: run(server, code), codes))
    assert [int(answer.output) for answer in answers] == list(range(200))


def test_a_closed_server_leaves_no_child(server: ForkServer) -> None:
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(run, server, "while True: pass")
        time.sleep(0.5)
        [child] = _children(server._process.pid)
        server.close()
        with pytest.raises(ServerEndedError):
            job.result()
    assert wait_until_gone(child)


def test_after_a_kill_of_the_parent_nothing_runs_on(place: Path) -> None:
    script = (
        "from paperlora.pipeline.parse.forks import ForkServer, Limits\n"
        "server = ForkServer('served'); print(server._process.pid, flush=True)\n"
        "limits = Limits(seconds=60, memory_bytes=1 << 30, output_bytes=9)\n"
        "server.run('while True: pass', limits)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        server = int(parent.stdout.readline())
        deadline = time.monotonic() + 10
        while not _children(server) and time.monotonic() < deadline:
            time.sleep(0.02)
        [child] = _children(server)
        assert not gone(child)
        parent.kill()
    assert wait_until_gone(server, child)


def test_after_a_kill_of_the_parent_a_server_that_starts_ends_too(place: Path) -> None:
    (place / "served.py").write_text("import time; time.sleep(60)")
    script = "from paperlora.pipeline.parse.forks import ForkServer; ForkServer('served')"
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        deadline = time.monotonic() + 10
        while not _children(parent.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        [server] = _children(parent.pid)
        time.sleep(0.5)
        assert not gone(server)
        parent.kill()
    assert wait_until_gone(server)


def test_a_server_that_ends_is_no_answer(server: ForkServer) -> None:
    # What the child had written by then could look like an answer.
    with pytest.raises(ServerEndedError):
        run(server, "os.write(1, b'{} 1234567'); os.kill(os.getppid(), 9); time.sleep(9)")
    with pytest.raises(ServerEndedError):
        run(server, "result = 1")


def test_a_server_that_cannot_start_shows_why(place: Path) -> None:
    (place / "served.py").write_text("import absent_library")
    with pytest.raises(ServerEndedError, match="No module named 'absent_library'"):
        ForkServer("served")
    with pytest.raises(ServerEndedError, match="No module named 'absent_module'"):
        ForkServer("absent_module")
    (place / "served.py").write_text("raise SystemExit(7)")
    with pytest.raises(ServerEndedError, match="exit code 7"):
        ForkServer("served")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]
