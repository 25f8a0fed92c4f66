from __future__ import annotations

import http.server
import io
import threading
import urllib.error
import urllib.request
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from paperlora.environment.core.lock import Metadata
from paperlora.environment.locks import metadata
from paperlora.environment.locks.metadata import Unmet
from paperlora.errors import DataError, NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = """Metadata-Version: 2.1
Name: Alpha.One
Version: 1.0
Requires-Python: >=3.9
Requires-Dist: beta (>=2)
Requires-Dist: gamma[fast]; python_version <
    "3.12"
Requires-Dist: delta; extra == "more"

Requires-Dist: prose
"""
ENVIRONMENT = metadata.marker_environment("3.12")


def one(name: str, version: str, *requires: str) -> Metadata:
    return Metadata(name=name, version=version, requires=requires)


def problems(*held: Metadata, **options: object) -> list[tuple[str, str, str]]:
    found = metadata.unmet({m.name: m for m in held}, ENVIRONMENT, **options)  # type: ignore[arg-type]
    return [(u.package, u.requirement, u.found) for u in found]


def test_the_headers_are_read_and_the_description_is_not() -> None:
    assert metadata.parse(TEXT) == Metadata(
        name="alpha-one",
        version="1.0",
        requires=("beta (>=2)", 'gamma[fast]; python_version < "3.12"', 'delta; extra == "more"'),
        requires_python=">=3.9",
    )


def test_markers_are_those_of_the_target_and_not_of_this_interpreter() -> None:
    requires = ("a; python_version < '3.12'", "b; sys_platform == 'win32'", "c; extra == 'more'")
    package = one("p", "1", *requires)
    user = one("user", "1", "p[more]")
    names = [
        [u.needs for u in metadata.unmet(held, metadata.marker_environment(python))]
        for python, held in (
            ("3.11", {"p": package}),
            ("3.12", {"p": package}),
            ("3.12", {"p": package, "user": user}),
        )
    ]
    assert names == [["a"], [], ["c"]]


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ([one("a", "1", "b>=2"), one("b", "2")], []),
        ([one("a", "1", "b>=2"), one("b", "1.9")], [("a", "b>=2", "1.9")]),
        ([one("a", "1", "b")], [("a", "b", "")]),
        ([one("a", "1", "b==2.0"), one("b", "2.0+cu128")], []),
        ([one("a", "1", "B_B"), one("b-b", "1rc1")], []),
        # the extra is asked for by a requirement, and by nothing else
        ([one("a", "1", "b[x]"), one("b", "1", "c; extra == 'x'")], [("b", 'c; extra == "x"', "")]),
        ([one("a", "1", "b"), one("b", "1", "c; extra == 'x'")], []),
        ([one("a", "1", "b[x]"), one("b", "1", "a[y]; extra == 'x'")], []),
    ],
)
def test_unmet(held: list[Metadata], expected: list[tuple[str, str, str]]) -> None:
    assert problems(*held) == expected


def test_unmet_of_some_packages_and_of_the_extras_that_they_ask_for() -> None:
    held = (one("a", "1", "x"), one("b", "1", "y", "z; extra == 'more'"), one("c", "1", "b[more]"))
    assert problems(*held, of=["a"]) == [("a", "x", "")]
    assert problems(*held, of=["c"])[-1] == ("b", 'z; extra == "more"', "")
    assert Unmet(package="a", requirement="x", needs="x", found="") in metadata.unmet(
        {m.name: m for m in held}, ENVIRONMENT
    )


def test_a_requirement_that_is_none_is_named() -> None:
    with pytest.raises(DataError, match="'a=>1' is not a requirement"):
        metadata.requirement("a=>1")


class Server(http.server.BaseHTTPRequestHandler):
    """A server that sends ranges of one wheel and counts the bytes."""

    wheel = b""
    ranges = True
    sent = 0

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.wheel)))
        self.end_headers()

    def do_GET(self) -> None:
        if self.path.endswith(".metadata"):
            self.send_error(404)
            return
        start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
        part = self.wheel[int(start) : int(end) + 1]
        type(self).sent += len(part)
        self.send_response(206 if self.ranges else 200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("big.bin", bytes(3_000_000))
        wheel.writestr("alpha-1.dist-info/METADATA", TEXT)
    Server.wheel, Server.ranges, Server.sent = file.getvalue(), True, 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/alpha-1-py3-none-any.whl"
        server.shutdown()


def test_metadata_is_read_out_of_a_wheel_without_downloading_it(url: str) -> None:
    assert metadata.fetch(url).name == "alpha-one"
    assert 0 < Server.sent < 300_000


def test_the_file_beside_the_wheel_goes_first(tmp_path: Path) -> None:
    (tmp_path / "a.whl.metadata").write_text(TEXT)
    assert metadata.fetch((tmp_path / "a.whl").as_uri()).version == "1.0"


@pytest.mark.parametrize("fault", ["whole files only", "no zip", "no metadata", "nothing there"])
def test_metadata_that_cannot_be_had_is_a_network_error(
    url: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "_WAITS", (0,))
    if fault == "whole files only":
        Server.ranges = False
    elif fault == "no zip":
        Server.wheel = bytes(1000)
    elif fault == "no metadata":
        Server.wheel = b"PK\5\6" + bytes(18)
    else:
        url = "http://127.0.0.1:9/alpha.whl"
    with pytest.raises(NetworkError, match="no metadata of"):
        metadata.fetch(url)


@pytest.mark.parametrize(("failures", "reached"), [(2, True), (3, False)])
def test_an_index_that_does_not_answer_is_asked_twice_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, *, reached: bool
) -> None:
    (tmp_path / "a.whl.metadata").write_text(TEXT)
    whole, left = urllib.request.urlopen, [True] * failures

    def flaky(*arguments: Any, **options: Any) -> Any:
        if left:
            left.pop()
            raise urllib.error.URLError("connection reset")
        return whole(*arguments, **options)

    monkeypatch.setattr(urllib.request, "urlopen", flaky)
    monkeypatch.setattr(metadata, "_WAITS", (0, 0))
    url = (tmp_path / "a.whl").as_uri()
    if reached:
        assert metadata.fetch(url).version == "1.0"
    else:
        with pytest.raises(NetworkError, match="connection reset"):
            metadata.fetch(url)
