"""How answers of servers become errors, waits and lengths."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from paperlora import __version__
from paperlora.errors import NetworkError
from paperlora.pipeline.fetch.pace import Pace
from paperlora.pipeline.fetch.web import (
    TransientError,
    judge,
    length,
    open_session,
    retry_after,
    shown,
)


def _answer(url: str, code: int = 200, **headers: str) -> requests.Response:
    answer = requests.Response()
    answer.url, answer.status_code, answer.reason = url, code, "Reason"
    answer.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return answer


def test_session() -> None:
    session = open_session(Pace())
    assert session.verify is True
    assert session.max_redirects == 5
    assert session.headers["User-Agent"] == f"paperlora/{__version__}"
    assert set(session.adapters) == {"https://", "http://"}


def test_shown_keeps_no_secret() -> None:
    address = shown("https://me:hunter2@example.org:8443/a.pdf?token=s3cret#t0ken")
    assert address == "https://example.org:8443/a.pdf"


def test_retry_after() -> None:
    assert retry_after("7") == 7.0
    later = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert later is not None
    assert 55 < later <= 60
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0.0
    for nonsense in ("", "soon", "-5", "1e9", "9" * 400, "9" * 5000):
        assert retry_after(nonsense) is None


def test_length() -> None:
    assert length(_answer("https://a.example/", Content_Length="12")) == 12
    assert length(_answer("https://a.example/", Content_Length="twelve")) is None
    assert length(_answer("https://a.example/", Content_Length="12", Content_Encoding="br")) is None


def test_judge_status() -> None:
    judge("https://a.example/", _answer("https://a.example/"))
    with pytest.raises(TransientError) as busy:
        judge("https://a.example/", _answer("https://a.example/", 429, Retry_After="7"))
    assert busy.value.wait == 7.0
    with pytest.raises(NetworkError, match=r"404 Reason.*correct the address"):
        judge("https://a.example/", _answer("https://a.example/", 404))
    with pytest.raises(NetworkError, match=r"403 Reason.*browser"):
        judge("https://a.example/", _answer("https://a.example/", 403))


def test_judge_refuses_to_leave_https() -> None:
    first = _answer("https://a.example/", 302)
    for last, good in (("https://b.example/", True), ("http://b.example/", False)):
        answer = _answer(last)
        answer.history = [first]
        if good:
            judge("https://a.example/", answer)
        else:
            with pytest.raises(NetworkError, match=r"from https to http://b\.example/"):
                judge("https://a.example/", answer)
    climbing = _answer("https://a.example/")
    climbing.history = [_answer("http://a.example/", 301)]
    judge("http://a.example/", climbing)
