from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from colab_checkout import BETA, GAMMA, REQUIRES, RUNTIME, write, write_lock, write_requires

from paperlora.environment.colab import parity
from paperlora.environment.core.lock import Metadata
from paperlora.environment.locks.metadata import marker_environment
from paperlora.errors import FindingsError, InputError

if TYPE_CHECKING:
    from pathlib import Path


FREEZE = "".join(f"{name}=={version}\n" for name, version in RUNTIME.items())


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write(tmp_path / "root")


def answer(root: Path, capsys: pytest.CaptureFixture[str], **options: object) -> dict[str, object]:
    parity.run("colab-r1", root=root, as_json=True, **options)  # type: ignore[arg-type]
    printed = json.loads(capsys.readouterr().out)
    assert isinstance(printed, dict)
    return printed


def test_three_columns(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(checkout, capsys)["rows"]
    assert [tuple(row.values()) for row in rows] == [  # type: ignore[attr-defined]
        ("alpha", "1.0", "1.0", "1.0", "same"),
        ("beta", "1.5", "2.0", "2.0", "changed"),
        ("delta", "1.0", "1.0", "", "same"),
        ("gamma", "", "3.0", "3.0", "added"),
        ("legacy", "0.1", "0.1", "", "same"),
        ("torch", "2.0+cu1", "2.0+cu1", "", "same"),
    ]


def test_conflicts_of_colab_itself_are_listed_apart(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parity.run("colab-r1", root=checkout)
    out = capsys.readouterr().out
    assert "1 changed (beta 1.5 → 2.0), 1 added" in out
    assert "requirements of 5 packages evaluated, of 1 not known" in out
    assert "can break these only through beta" in out
    assert "has by itself: 1\n  legacy requires never-there>=1, found nothing\n" in out
    assert "our install adds: 0 among those evaluated" in out
    assert "fewest changed packages: 1" in out
    assert "and 3 other packages of Colab" in out
    assert "\x1b" not in out


def test_what_our_install_breaks_is_a_finding(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_requires(checkout, {**REQUIRES, "delta": {"1.0": ["beta<2"]}})
    # There is no plan either, until a version of delta is known that works with the new beta.
    with pytest.raises(FindingsError, match="the install breaks delta"):
        parity.run("colab-r1", root=checkout)
    assert "no plan with the known versions" in capsys.readouterr().out
    write_requires(checkout, {**REQUIRES, "delta": {"1.0": ["beta<2"], "1.1": ["beta<3"]}})
    with pytest.raises(FindingsError, match="the install breaks delta") as caught:
        parity.run("colab-r1", root=checkout)
    assert caught.value.code == 1
    out = capsys.readouterr().out
    assert "our install adds: 1 among those evaluated\n  delta requires beta<2, found 2.0" in out
    assert "fewest changed packages: 2" in out


def test_a_lock_that_changes_too_much_is_a_finding(checkout: Path) -> None:
    delta = replace(BETA, name="delta", version="1.1", requires=())
    write_lock(checkout, "colab-r1", (BETA, GAMMA, delta))
    with pytest.raises(FindingsError, match="it changes beta, delta, although 1 would be enough"):
        parity.run("colab-r1", root=checkout)


def test_a_lock_that_changes_too_little_is_a_finding(checkout: Path) -> None:
    write_lock(checkout, "colab-r1", (GAMMA,), alpha="1.0", beta="1.5")
    with pytest.raises(
        FindingsError, match=r"leaves beta 1\.5, which the pipeline does not accept"
    ):
        parity.run("colab-r1", root=checkout)


def test_another_freeze_may_need_no_change(checkout: Path, tmp_path: Path) -> None:
    path = tmp_path / "freeze.txt"
    path.write_text(FREEZE.replace("beta==1.5", "beta==2.5"))
    with pytest.raises(FindingsError, match="it changes beta, although 0 would be enough"):
        parity.run("colab-r1", source=str(path), root=checkout)


def test_a_runtime_s_own_packages_can_be_compared(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = checkout / "site-packages"
    for name, version in RUNTIME.items():
        folder = site / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    monkeypatch.setattr("sys.path", [str(site)])
    printed = answer(checkout, capsys, source="here")
    comparison = printed["comparison"]
    assert comparison["unknown"] == []  # type: ignore[index]
    assert comparison["shipped"] == []  # type: ignore[index]


def test_only_colab_targets_can_be_compared(checkout: Path) -> None:
    with pytest.raises(InputError, match="cuda is not a Colab target"):
        parity.run("cuda", root=checkout)


def test_the_shipped_locks_change_one_package_and_break_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for target, changed in (("colab-2026.04", "transformers"), ("colab-2026.07", "peft")):
        parity.run(target, as_json=True)
        printed = json.loads(capsys.readouterr().out)
        assert (list(printed["changed"]), printed["fewest"]) == ([changed], 1)
        assert printed["comparison"]["new"] == []
        # What requires the changed package is among what was evaluated.
        assert not {"sentence-transformers", "diffusers"} & set(printed["comparison"]["unknown"])


@pytest.mark.published
def test_a_runtime_that_a_lock_was_not_made_for(capsys: pytest.CaptureFixture[str]) -> None:
    old = f"{os.environ['PAPERLORA_COLAB_FREEZES']}/2026.01.pip-freeze.gpu.txt"
    with pytest.raises(FindingsError, match="the install breaks transformers"):
        parity.run("colab-2026.04", source=old, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    (new,) = printed["comparison"]["new"]
    assert (new["needs"], new["found"]) == ("huggingface-hub", "0.36.0")
    assert {"transformers", "huggingface-hub"} < set(printed["chosen"])
    with pytest.raises(FindingsError, match=r"it leaves transformers 4\.57\.6"):
        parity.run("colab-2026.07", source=old, as_json=True)


@pytest.mark.published
def test_the_runtimes_as_published_take_the_shipped_locks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for runtime in ("2026.04", "2026.07"):
        source = f"{os.environ['PAPERLORA_COLAB_FREEZES']}/{runtime}.pip-freeze.gpu.txt"
        parity.run(f"colab-{runtime}", source=source, as_json=True)
        assert json.loads(capsys.readouterr().out)["comparison"]["new"] == []


KNOWN = {
    (name, version): Metadata(name=name, version=version, requires=requires)
    for name, version, requires in (
        (
            "app",
            "1",
            ("lib<2", "lib[fast]", "gone; extra == 'never'", "old; python_version < '3.9'"),
        ),
        ("lib", "1", ("turbo; extra == 'fast'",)),
        ("lib", "2", ()),
        ("broken", "1", ("nowhere",)),
        ("mended", "1", ("lib>=2",)),
    )
}
BEFORE = {"app": "1", "lib": "1", "broken": "1", "mended": "1", "mystery": "1"}


def compare(after: dict[str, str]) -> parity.Comparison:
    return parity.compare(BEFORE, after, KNOWN, marker_environment("3.12"))


def test_an_install_that_changes_nothing_adds_nothing() -> None:
    seen = compare(BEFORE)
    assert seen.new == seen.mended == []
    assert [(one.package, one.requirement) for one in seen.shipped] == [
        ("broken", "nowhere"),
        ("lib", 'turbo; extra == "fast"'),
        ("mended", "lib>=2"),
    ]
    assert (seen.known, seen.unknown) == (4, ["mystery"])


def test_conflicts_are_new_shipped_or_resolved() -> None:
    seen = compare({**BEFORE, "lib": "2"})
    assert [(one.package, one.requirement, one.found) for one in seen.new] == [
        ("app", "lib<2", "2")
    ]
    assert [one.package for one in seen.mended] == ["lib", "mended"]
    assert [one.package for one in seen.shipped] == ["broken"]


def test_a_removed_package_is_a_conflict() -> None:
    seen = compare({name: version for name, version in BEFORE.items() if name != "lib"})
    assert {(one.package, one.found) for one in seen.new} == {("app", "")}


def test_another_build_is_another_package() -> None:
    held = parity.held({"app": "1+cu1", "lib": "1"}, KNOWN)
    assert held["app"].requires == ()
    assert held["lib"].requires == ("turbo; extra == 'fast'",)
