from __future__ import annotations

from paperlora.environment.colab import conflicts
from paperlora.environment.locks.metadata import Metadata, marker_environment

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


def compare(after: dict[str, str]) -> conflicts.Comparison:
    return conflicts.compare(BEFORE, after, KNOWN, marker_environment("3.12"))


def test_an_install_that_changes_nothing_adds_nothing() -> None:
    seen = compare(BEFORE)
    assert seen.new == seen.mended == []
    assert [(one.package, one.requirement) for one in seen.shipped] == [
        ("broken", "nowhere"),
        ("lib", 'turbo; extra == "fast"'),
        ("mended", "lib>=2"),
    ]
    assert (seen.known, seen.unknown) == (4, ["mystery"])


def test_new_shipped_and_mended_are_told_apart() -> None:
    seen = compare({**BEFORE, "lib": "2"})
    assert [(one.package, one.requirement, one.found) for one in seen.new] == [
        ("app", "lib<2", "2")
    ]
    assert [one.package for one in seen.mended] == ["lib", "mended"]
    assert [one.package for one in seen.shipped] == ["broken"]


def test_what_is_removed_is_missed() -> None:
    seen = compare({name: version for name, version in BEFORE.items() if name != "lib"})
    assert {(one.package, one.found) for one in seen.new} == {("app", "")}


def test_another_build_is_another_package() -> None:
    held = conflicts.held({"app": "1+cu1", "lib": "1"}, KNOWN)
    assert held["app"].requires == ()
    assert held["lib"].requires == ("turbo; extra == 'fast'",)
