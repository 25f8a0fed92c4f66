"""One download from a server that breaks off, sends wrong files, stalls or changes the file."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from server import PDF, Server, body, drip, page, redirect, reset, silence, stall, status

from paperlora.errors import DataError, NetworkError
from paperlora.pipeline.fetch import download as module
from paperlora.pipeline.fetch import pace, web
from paperlora.pipeline.fetch.download import Download, _opened, download
from paperlora.pipeline.fetch.pace import Pace
from paperlora.pipeline.fetch.web import ExhaustedError, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from server import Answer

HASH = hashlib.sha256(PDF).hexdigest()
OTHER = PDF.replace(b"%PDF-1.7", b"%PDF-1.4")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


class Trial:
    """A download to a fresh folder, with the sleeps and progress that it made."""

    def __init__(self, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sleeps: list[float] = []
        self.steps: list[tuple[int, int | None]] = []
        self.notes: list[str] = []
        self.to = folder / "a.pdf"
        self.server = server
        self.attempts = 5
        self.patch = monkeypatch
        self.limit(web, TIMEOUT=(2, 2), JITTER=0, sleep=self.sleeps.append, log=self.notes.append)
        self.limit(pace, PAUSE=0, JITTER=0)

    def limit(self, where: ModuleType, **values: object) -> None:
        for name, value in values.items():
            self.patch.setattr(where, name, value)

    def __call__(self, *answers: Answer, sha256: str | None = None, path: str = "/a") -> str:
        url = self.server.put(path, *answers) if answers else self.server.base + path
        return self.at(url, sha256=sha256)

    def at(self, url: str, *, sha256: str | None = None) -> str:
        return download(
            Download(
                url=url,
                to=self.to,
                session=open_session(Pace()),
                pace=Pace(),
                sha256=sha256,
                attempts=self.attempts,
                progress=lambda done, total: self.steps.append((done, total)),
            )
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in self.to.parent.iterdir())


@pytest.fixture
def trial(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    return Trial(server, tmp_path, monkeypatch)


def test_whole(trial: Trial) -> None:
    assert trial(body(), sha256=HASH) == HASH
    assert trial.to.read_bytes() == PDF
    assert trial.files() == ["a.pdf"]
    assert trial.steps[0] == (0, len(PDF))
    assert trial.steps[-1] == (len(PDF), len(PDF))
    assert trial.sleeps == []


@pytest.mark.parametrize("length", [True, False])
def test_without_known_hash(trial: Trial, *, length: bool) -> None:
    assert trial(body(length=length)) == HASH


@pytest.mark.parametrize(
    "validator", [{"tag": '"one"'}, {"tag": None, "modified": "Sat, 01 Jan 2022 00:00:00 GMT"}]
)
def test_resumes_after_a_drop(trial: Trial, validator: dict[str, str | None]) -> None:
    trial(body(**validator, stop=70_000), body(**validator))  # type: ignore[arg-type]
    assert trial.to.read_bytes() == PDF
    assert trial.sleeps == [1.0]
    first, second = trial.server.gets
    assert "Range" not in first.headers
    assert second.headers["Range"] == "bytes=70000-"
    assert second.headers["If-Range"] in validator.values()
    assert trial.files() == ["a.pdf"]


@pytest.mark.parametrize("validator", [{"tag": 'W/"weak"'}, {"tag": None}])
def test_starts_from_zero_without_a_strong_validator(
    trial: Trial, validator: dict[str, str | None]
) -> None:
    trial(body(**validator, stop=70_000), body(**validator))  # type: ignore[arg-type]
    assert trial.to.read_bytes() == PDF
    assert "Range" not in trial.server.gets[1].headers


def test_copy_changed_in_between(trial: Trial) -> None:
    trial(body(stop=70_000), body(OTHER, tag='"two"'))
    assert trial.to.read_bytes() == OTHER  # nothing of the first copy is in it


def test_server_ignores_range(trial: Trial) -> None:
    trial(body(stop=70_000), body(ranges=False))
    assert "Range" in trial.server.gets[1].headers
    assert trial.to.read_bytes() == PDF


def test_server_sends_another_part(trial: Trial) -> None:
    trial(body(stop=70_000), body(shift=10), body())
    assert trial.to.read_bytes() == PDF
    assert "Range" not in trial.server.gets[2].headers


def test_part_is_longer_than_the_file(trial: Trial) -> None:
    trial(body(PDF + PDF, stop=len(PDF) + 9), body())
    assert trial.to.read_bytes() == PDF
    assert len(trial.server.gets) == 3  # the drop, 416, the whole


def test_next_call_resumes(trial: Trial) -> None:
    trial.attempts = 1
    with pytest.raises(ExhaustedError, match="broke off"):
        trial(body(stop=70_000))
    assert trial.files() == ["a.pdf.part", "a.pdf.part.json"]
    trial(body())
    assert trial.server.gets[1].headers["Range"] == "bytes=70000-"
    assert trial.to.read_bytes() == PDF


@pytest.mark.parametrize("side", ["", "[]", "{", '{"source": 1}', None])
def test_damaged_side_file(trial: Trial, side: str | None) -> None:
    (trial.to.parent / "a.pdf.part").write_bytes(b"%PDF-rubbish")
    if side is not None:
        (trial.to.parent / "a.pdf.part.json").write_text(side)
    trial(body())
    assert trial.to.read_bytes() == PDF


def test_part_of_another_address(trial: Trial) -> None:
    trial.attempts = 1
    with pytest.raises(ExhaustedError):
        trial(body(OTHER, stop=70_000), path="/other")
    trial(body())  # the same tag at another address
    assert trial.to.read_bytes() == PDF


def test_side_file_holds_no_address(trial: Trial) -> None:
    trial.attempts = 1
    trial.server.put("/a", body(stop=70_000))
    with pytest.raises(ExhaustedError) as caught:
        trial.at(f"{trial.server.base}/a?token=s3cret")
    side = (trial.to.parent / "a.pdf.part.json").read_text()
    assert json.loads(side)["validator"] == '"one"'
    assert "s3cret" not in side
    assert "s3cret" not in str(caught.value)


def test_interruption_keeps_the_part(trial: Trial) -> None:
    def interrupt(done: int, _total: int | None) -> None:
        if done > 50_000:
            raise KeyboardInterrupt

    url = trial.server.put("/a", body())
    job = Download(
        url=url, to=trial.to, session=open_session(Pace()), pace=Pace(), progress=interrupt
    )
    with pytest.raises(KeyboardInterrupt):
        download(job)
    assert not trial.to.exists()
    kept = (trial.to.parent / "a.pdf.part").read_bytes()
    assert len(kept) > 50_000
    assert PDF.startswith(kept)
    trial()
    assert trial.server.gets[1].headers["Range"] == f"bytes={len(kept)}-"
    assert trial.to.read_bytes() == PDF


def test_interruption_before_the_first_byte_leaves_no_older_part(trial: Trial) -> None:
    def interrupt(_done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    (trial.to.parent / "a.pdf.part").write_bytes(OTHER[:70_000])
    url = trial.server.put("/a", body())
    with pytest.raises(KeyboardInterrupt):
        download(
            Download(
                url=url, to=trial.to, session=open_session(Pace()), pace=Pace(), progress=interrupt
            )
        )
    assert trial.files() == ["a.pdf.part.json"]  # else the older bytes had this copy's validator
    trial()
    assert trial.to.read_bytes() == PDF


def test_back_off_then_success(trial: Trial) -> None:
    trial(status(503), status(500), status(429, retry_after="7"), body())
    assert trial.sleeps == [1.0, 2.0, 7.0]
    assert "503 Service Unavailable; next attempt in 1 s" in trial.notes[0]


def test_attempts_are_bounded(trial: Trial) -> None:
    with pytest.raises(ExhaustedError, match=r"502 Bad Gateway \(attempts: 5\)"):
        trial(status(502))
    assert trial.sleeps == [1.0, 2.0, 4.0, 8.0]
    assert len(trial.server.gets) == 5


def test_a_wait_above_the_limit_ends_the_download(trial: Trial) -> None:
    with pytest.raises(ExhaustedError, match="asks to wait 3600 s"):
        trial(status(429, retry_after="3600"))
    assert trial.sleeps == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 204])
def test_a_final_answer_is_not_requested_again(trial: Trial, code: int) -> None:
    with pytest.raises(NetworkError, match=str(code)):
        trial(status(code))
    assert len(trial.server.gets) == 1
    assert trial.files() == []


@pytest.mark.parametrize("kind", ["text/html", "application/pdf"])
def test_a_web_page(trial: Trial, kind: str) -> None:
    with pytest.raises(DataError, match=r"sent a web page, not a PDF.*address of the PDF itself"):
        trial(page(kind))
    assert trial.files() == []
    assert len(trial.server.gets) == 1


def test_a_web_page_that_begins_with_empty_lines(trial: Trial) -> None:
    with pytest.raises(DataError, match="sent a web page"):
        trial(body(b"\n" * 50 + b"text", kind="text/html"))
    with pytest.raises(DataError, match="sent a file that is not a PDF"):
        trial(body(b"\n" * 50 + b"text"))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "an empty file"), (b"%PD", "not a PDF"), (b"PK\3\4rest", "not a PDF")],
)
def test_not_a_pdf(trial: Trial, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        trial(body(content))
    assert trial.files() == []


def test_wrong_content(trial: Trial) -> None:
    trial.to.write_bytes(PDF)
    with pytest.raises(DataError, match=f"SHA-256 {hashlib.sha256(OTHER).hexdigest()}.*{HASH}"):
        trial(body(OTHER), sha256=HASH)
    assert trial.files() == ["a.pdf"]
    assert trial.to.read_bytes() == PDF  # what was there stays


@pytest.mark.parametrize("length", [True, False])
def test_too_large(trial: Trial, *, length: bool) -> None:
    trial.limit(module, MOST_BYTES=100_000)
    with pytest.raises(DataError, match="larger than 0 MB"):
        trial(body(length=length))
    assert trial.files() == []
    received = max((done for done, _ in trial.steps), default=0)
    assert received <= (0 if length else 100_000)


def test_cut_short_without_a_length(trial: Trial) -> None:
    trial.attempts = 2
    with pytest.raises(ExhaustedError, match="without its end"):
        trial(body(length=False, stop=70_000, tag=None))
    assert not trial.to.exists()


@pytest.mark.parametrize("stop", [None, 0, 70_000])
def test_a_reset_is_resumed(trial: Trial, stop: int | None) -> None:
    trial(reset(stop=stop), body())
    assert trial.to.read_bytes() == PDF
    assert trial.sleeps == [1.0]


def test_a_stall_is_resumed(trial: Trial) -> None:
    trial.limit(web, TIMEOUT=(2, 0.1))
    trial(stall(0.5, stop=70_000), body())
    assert trial.to.read_bytes() == PDF
    assert trial.server.gets[1].headers["Range"] == "bytes=70000-"


def test_a_length_that_is_too_small(trial: Trial) -> None:
    trial.attempts = 2
    # The end that a PDF made for the web has near its beginning is not the end of the file.
    early = PDF[:1000] + b"startxref\n0\n%%EOF\n" + PDF[1000:]
    with pytest.raises(ExhaustedError, match=r"sent a PDF without its end \(%%EOF\)"):
        trial(body(early, declared=100_000))
    assert trial.files() == []
    # The control: the same file with its length, and zeros after its end, as some servers send.
    assert trial(body(early + bytes(5000))) == hashlib.sha256(early + bytes(5000)).hexdigest()


def test_a_length_that_is_too_large(trial: Trial) -> None:
    with pytest.raises(ExhaustedError, match=r"broke off|has changed"):
        trial(body(declared=len(PDF) + 10))
    assert not trial.to.exists()


@pytest.mark.parametrize("to", ["http://[::1/a", "http://127.0.0.1:99999/a", "http://\u2100/"])
def test_redirect_to_an_address_that_is_not_valid(trial: Trial, to: str) -> None:
    with pytest.raises(NetworkError, match="not valid"):
        trial(redirect(to.encode("utf-8").decode("latin-1")))
    assert trial.files() == []


def test_dripping_server(trial: Trial) -> None:
    trial.attempts = 1
    trial.limit(module, PATIENCE=0.2)
    with pytest.raises(ExhaustedError, match="bytes per second"):
        trial(drip(0.01))


def test_silent_server(trial: Trial) -> None:
    trial.attempts = 2
    trial.limit(web, TIMEOUT=(2, 0.1))
    with pytest.raises(ExhaustedError, match="did not answer in time"):
        trial(silence(0.5))
    assert trial.sleeps == [1.0]


def test_no_server(trial: Trial) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ExhaustedError, match="cannot be reached"):
        trial.at(f"http://127.0.0.1:{port}/a?token=s3cret")
    assert len(trial.sleeps) == 4
    assert "s3cret" not in "".join(trial.notes)


def test_redirects(trial: Trial) -> None:
    trial.server.put("/b", redirect("/a"))
    trial.server.put("/a", body())
    assert trial(path="/b") == HASH


def test_endless_redirects(trial: Trial) -> None:
    with pytest.raises(NetworkError, match="redirects more than 5 times"):
        trial(redirect("/a"))
    assert len(trial.server.gets) == 6


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,%PDF-"])
def test_redirect_out_of_the_web(trial: Trial, to: str) -> None:
    with pytest.raises(NetworkError, match="not http or https"):
        trial(redirect(to))
    assert trial.files() == []


def test_folder_that_cannot_be_written(trial: Trial) -> None:
    trial.to = trial.to.parent / "none" / "deep" / "a.pdf"
    trial.to.parent.parent.write_text("a file")
    with pytest.raises(DataError, match=r"cannot write.*Not a directory.*--to"):
        trial(body())


def test_full_disk(trial: Trial) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    job = Download(url="http://a.example/", to=trial.to, session=open_session(Pace()), pace=Pace())
    job.part.symlink_to("/dev/full")
    with (
        pytest.raises(DataError, match=r"No space left.*free some space"),
        _opened(job, append=False) as write,
    ):
        write(PDF)


def test_untrusted_certificate(
    trial: Trial, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = trial.server.encrypt(tmp_path_factory.mktemp("tls"))
    url = trial.server.put("/a", body())
    with pytest.raises(NetworkError, match="certificate that this machine does not trust"):
        trial.at(url)
    assert trial.sleeps == []
    # the same server, after its certificate is trusted as the message suggests
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    assert trial.at(url) == HASH
