import sys
import threading
import time

from paperlora import process


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


def test_a_child_past_its_memory_fails_and_a_modest_one_does_not():
    grab = "block = bytearray({}); print(len(block))"
    limit = 1 << 30
    assert python(grab.format(1 << 31), memory_bytes=limit).code != 0
    assert python(grab.format(1 << 20), memory_bytes=limit).code == 0


def test_nothing_passes_through_a_shell():
    done = python("import sys; print(sys.argv[1])")
    assert done.code != 0
    done = process.run([sys.executable, "-c", "import sys; print(sys.argv[1])", "$(echo no); *"])
    assert done.stdout == b"$(echo no); *\n"


def test_a_program_that_is_not_there_is_127():
    assert process.call(["/nonexistent/program"]) == 127


def test_after_an_interruption_no_child_starts(monkeypatch):
    monkeypatch.setattr(process, "_ended", threading.Event())
    assert python("print(1)").code == 0
    process.kill_all()
    assert python("print(1)").code < 0
