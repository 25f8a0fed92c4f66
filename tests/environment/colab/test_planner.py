from __future__ import annotations

from paperlora.environment.colab import planner
from paperlora.environment.core.lock import Metadata
from paperlora.environment.core.target import Requirement
from paperlora.environment.locks.metadata import marker_environment


def package(name: str, version: str, *requires: str) -> Metadata:
    return Metadata(name=name, version=version, requires=requires)


def plan(
    runtime: list[Metadata],
    pool: list[Metadata],
    protected: str = "",
    **accepts: str,
) -> dict[str, str] | None:
    versions: dict[str, list[Metadata]] = {}
    for one in pool:
        versions.setdefault(one.name, []).append(one)
    return planner.Problem(
        runtime={one.name: one for one in runtime},
        asked=[
            Requirement(name=name, version="", accepts=some, why="")
            for name, some in accepts.items()
        ],
        pool=versions,
        environment=marker_environment("3.12"),
        protects=lambda name: name == protected,
    ).plan()


def test_nothing_changes_where_the_runtime_is_enough() -> None:
    assert plan([package("a", "2")], [package("a", "3")], a=">=2") == {}


def test_what_is_missing_is_added_and_counts_as_no_change() -> None:
    chosen = plan([package("a", "1")], [package("b", "1", "c"), package("c", "1")], b="")
    assert chosen == {"b": "1", "c": "1"}
    assert planner.changed(chosen, {"a": "1"}) == {}


def test_the_version_that_changes_the_fewest_others_wins() -> None:
    runtime = [package("a", "1"), package("hub", "1")]
    pool = [package("a", "3", "hub>=2"), package("hub", "2"), package("a", "2", "hub>=1")]
    assert plan(runtime, pool, a=">=2") == {"a": "2"}
    # The control: with the light version gone, two packages change.
    assert plan(runtime, pool[:2], a=">=2") == {"a": "3", "hub": "2"}


def test_no_requirement_that_was_met_may_break() -> None:
    runtime = [package("a", "1"), package("friend", "1", "a<2")]
    assert plan(runtime, [package("a", "2")], a=">=2") is None
    pool = [package("a", "2"), package("friend", "2", "a<3")]
    assert plan(runtime, pool, a=">=2") == {"a": "2", "friend": "2"}


def test_what_was_broken_before_may_stay_broken() -> None:
    runtime = [package("a", "1"), package("old", "1", "absent", "a>5")]
    assert plan(runtime, [package("a", "2")], a=">=2") == {"a": "2"}


def test_protected_packages_never_change() -> None:
    runtime = [package("a", "1"), package("torch", "2")]
    pool = [package("a", "2", "torch>=3"), package("torch", "3")]
    assert plan(runtime, pool, a=">=2") == {"a": "2", "torch": "3"}
    assert plan(runtime, pool, protected="torch", a=">=2") is None


def test_a_version_that_is_not_stated_is_taken_as_it_is() -> None:
    runtime = [package("a", ""), package("b", "1", "a>3")]
    assert plan(runtime, [], a=">=2") == {}


def test_a_search_that_cannot_succeed_ends() -> None:
    runtime = [package(f"p{n}", "1", f"p{n + 1}<2") for n in range(40)] + [package("p40", "1")]
    pool = [package(f"p{n}", f"2.{minor}", f"p{n + 1}>=2") for n in range(39) for minor in range(4)]
    assert plan(runtime, pool, p0=">=2") is None
