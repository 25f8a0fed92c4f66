from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from colab_checkout import write

from paperlora.environment.colab import catalogue
from paperlora.environment.core.lock import Metadata
from paperlora.environment.locks import metadata, resolve
from paperlora.errors import DataError, InputError, NetworkError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write(tmp_path / "root")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """An index that has every package but `absent`, and refuses a list that names it."""
    asked: list[list[str]] = []

    def compiled(_: Path, lines: list[str], *options: str) -> str:
        asked.append(lines)
        if any(line.startswith("absent==") for line in lines):
            raise InputError("no resolution")
        rows = []
        for line in lines:
            name, version = line.split("==")
            rows.append(
                f'[[packages]]\nname = "{name}"\nversion = "{version}"\n'
                f'wheels = [{{ url = "https://index/{name}-{version}.whl" }}]\n'
            )
        return "\n".join(rows)

    def fetch(url: str) -> Metadata:
        if "unreadable" in url:
            raise NetworkError("the server sends whole files only")
        name, version = url.rpartition("/")[2].removesuffix(".whl").split("-")
        return Metadata(name=name, version=version, requires=("lib>=1",))

    monkeypatch.setattr(resolve, "compiled", compiled)
    monkeypatch.setattr(metadata, "fetch", fetch)
    return asked


def test_locks_and_what_is_kept_are_known(checkout: Path) -> None:
    known = catalogue.known(root=checkout)
    assert known["beta", "2.0"].requires == ("alpha>=1",)
    assert known["legacy", "0.1"].requires == ("never-there>=1",)
    assert ("torch", "2.0") not in known


def test_what_is_fetched_is_cached_and_can_be_kept(
    checkout: Path, index: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    pins = [("one", "1"), ("absent", "1"), ("two", "2"), ("three", "3")]
    found = catalogue.learn(pins, "3.12")
    assert set(found) == {("one", "1"), ("two", "2"), ("three", "3")}
    err = capsys.readouterr().err
    assert "what 4 packages require: " in err
    assert "absent: the index has no wheel of that version" in err
    assert set(found) <= set(catalogue.known(root=checkout))
    assert ("one", "1") not in catalogue.read(checkout / catalogue.KEPT)
    catalogue.keep([("one", "1"), ("beta", "2.0")], root=checkout)
    kept = catalogue.read(checkout / catalogue.KEPT)
    assert kept["one", "1"].requires == ("lib>=1",)
    assert ("two", "2") not in kept
    assert ("legacy", "0.1") in kept


def test_nothing_to_learn_needs_no_network(index: list[list[str]]) -> None:
    assert catalogue.learn([], "3.12") == {}
    assert index == []


def test_a_missing_network_is_not_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*_: object) -> str:
        raise NetworkError("unreachable")

    monkeypatch.setattr(resolve, "compiled", compiled)
    with pytest.raises(NetworkError):
        catalogue.fetch([("one", "1")], "3.12")


def test_one_unreadable_wheel_does_not_lose_the_others(index: list[list[str]]) -> None:
    found, missing = catalogue.fetch([("one", "1"), ("unreadable", "1")], "3.12")
    assert list(found) == [("one", "1")]
    assert missing == {"unreadable": "the server sends whole files only"}
    with pytest.raises(NetworkError, match="whole files"):
        catalogue.fetch([("unreadable", "1")], "3.12")


def test_extras_that_no_package_asks_for_are_not_kept(tmp_path: Path) -> None:
    requires = ("a", "b; extra == 'x'", "c; extra == 'y'", "d; python_version < '3'")
    entries = {
        ("lib", "1"): Metadata(name="lib", version="1", requires=requires),
        ("app", "1"): Metadata(name="app", version="1", requires=("Lib[x]>=1",)),
    }
    path = tmp_path / "requires.json"
    catalogue.write(path, entries)
    kept = catalogue.read(path)
    assert kept["lib", "1"].requires == (requires[0], requires[1], requires[3])
    assert path.read_text().startswith('{"generated": ')


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "requires.json"
    path.write_text("{")
    with pytest.raises(DataError, match=r"requires\.json is not JSON"):
        catalogue.read(path)


def test_the_tested_version_comes_first_and_then_the_newest() -> None:
    known = {("a", v): Metadata(name="a", version=v) for v in ("1.9", "1.10", "1.2")}
    for tested, order in ({}, ["1.10", "1.9", "1.2"]), ({"a": "1.2"}, ["1.2", "1.10", "1.9"]):
        assert [one.version for one in catalogue.pool(known, tested)["a"]] == order


def test_the_requirements_of_this_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    (site / "a-1.dist-info").mkdir(parents=True)
    (site / "a-1.dist-info/METADATA").write_text("Name: A\nVersion: 1\nRequires-Dist: b (>=2)\n")
    (site / "old.egg-info").write_text("Name: old\nVersion: 2\n")
    (site / "empty-1.dist-info").mkdir()
    monkeypatch.setattr("sys.path", [str(site)])
    found = catalogue.here()
    assert found["a"].requires == ("b (>=2)",)
    assert found["old"].version == "2"
    assert "empty" not in found


def test_the_kept_file_is_json(checkout: Path) -> None:
    catalogue.keep([], root=checkout)
    assert json.loads((checkout / catalogue.KEPT).read_text())["packages"]["delta"]
