"""The pauses between requests: arXiv's rate, other hosts, redirects."""

from __future__ import annotations

import pytest
from server import Server, body, redirect

from paperlora.pipeline.fetch import pace
from paperlora.pipeline.fetch.pace import Pace
from paperlora.pipeline.fetch.web import open_session


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(pace, "monotonic", lambda: one.now)
    monkeypatch.setattr(pace, "sleep", one.sleep)
    return one


def test_the_published_rate_of_arxiv_is_that_of_all_its_machines(clock: Clock) -> None:
    rhythm = Pace()
    for url in (
        "https://arxiv.org/pdf/1",
        "https://export.arxiv.org/api/query?x",
        "https://arxiv.org/",
    ):
        rhythm.wait(url)
    assert clock.slept == [3.0, 3.0]
    clock.now += 10
    rhythm.wait("https://arxiv.org/pdf/2")
    assert clock.slept == [3.0, 3.0]  # enough time has passed


def test_each_host_has_its_own_pause_of_varying_length(clock: Clock) -> None:
    rhythm = Pace()
    for _ in range(20):
        rhythm.wait("https://a.example/1")
    assert len(clock.slept) == 19
    assert all(1.0 <= seconds <= 1.5 for seconds in clock.slept)
    assert len(set(clock.slept)) > 1
    rhythm.wait("https://b.example/1")
    assert len(clock.slept) == 19


def test_a_redirect_is_a_request_too(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "JITTER", 0)
    with Server() as server:
        server.put("/b", body())
        url = server.put("/a", redirect("/b"))
        rhythm = Pace()
        rhythm.wait(url)
        assert open_session(rhythm).get(url).status_code == 200
    assert clock.slept == [pytest.approx(1.0)]
