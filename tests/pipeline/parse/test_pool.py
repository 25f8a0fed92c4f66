from __future__ import annotations

from pathlib import Path

import pytest

from paperlora.environment.host import machine
from paperlora.pipeline.parse import pool


@pytest.mark.parametrize(
    ("cores", "quota", "free_mib", "count"),
    [
        (8, "max 100000", None, 8),
        (8, "max 100000", 100_000, 8),
        (8, "max 100000", 3 * 512 + 100, 3),  # the memory is not enough for 8
        (8, "250000 100000", 100_000, 3),  # a container with two and a half cores
        (8, "no numbers", 100_000, 8),
        (2, "800000 100000", 100_000, 2),
        (8, "max 100000", 100, 1),  # never none
    ],
)
def test_cores_and_memory_decide_how_many_papers_are_read_at_once(
    monkeypatch: pytest.MonkeyPatch, cores: int, quota: str, free_mib: int | None, count: int
) -> None:
    free = None if free_mib is None else free_mib << 20
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(machine, "free_memory", lambda: free)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: quota)
    assert pool.children_at_once(512) == count


def test_a_name_is_shown_without_control_codes_and_bytes_that_are_not_utf_8() -> None:
    assert pool.shown("é\x1b[31m\n\udcff.pdf") == "é?[31m??.pdf"
