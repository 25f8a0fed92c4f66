"""Planner: the fewest of a runtime's packages that must change so that the pipeline runs on it.

An iterative-deepening search: sets of no changed package first, then of one, and so on; so the
first answer is the smallest. Packages that are added count as nothing, protected ones never change,
and no requirement that the runtime met may be broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from paperlora.environment.locks import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from paperlora.environment.core.target import Requirement
    from paperlora.environment.locks.metadata import Metadata

MOST = 5
"""Changed packages beyond which no plan is looked for: such a runtime is another one."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is to be solved: ``pool`` holds the versions to choose from, the best first."""

    runtime: Mapping[str, Metadata]
    asked: Sequence[Requirement]
    pool: Mapping[str, Sequence[Metadata]]
    environment: Mapping[str, str]
    protects: Callable[[str], bool]


def plan(problem: Problem) -> dict[str, str] | None:
    """Return name → version of what must be installed, with as few changed packages as can be.

    ``None``: no choice from the pool that changes at most ``MOST`` packages serves.
    """
    shipped = {_what(one) for one in metadata.unmet(problem.runtime, problem.environment)}
    for most in range(MOST + 1):
        if (chosen := _search(problem, shipped, {}, most, set())) is not None:
            return dict(sorted((name, one.version) for name, one in chosen.items()))
    return None


def changed(chosen: Mapping[str, str], runtime: Mapping[str, str]) -> dict[str, str]:
    """Return those of ``chosen`` that the runtime has in another version."""
    return {name: one for name, one in chosen.items() if name in runtime and runtime[name] != one}


def accepted(one: Requirement, version: str | None) -> bool:
    """Say whether the pipeline takes ``version`` of a package (``""``: not stated, ``None``: none)."""
    if version is None:
        return False
    return version == "" or metadata.accepts(one.accepts or one.version, version)


def _search(
    problem: Problem,
    shipped: set[tuple[str, str]],
    chosen: dict[str, Metadata],
    most: int,
    seen: set[frozenset[Metadata]],
) -> dict[str, Metadata] | None:
    """Mend the first thing that is wrong in each possible way, until nothing is."""
    state = frozenset(chosen.values())
    if state in seen or sum(name in problem.runtime for name in chosen) > most:
        return None
    seen.add(state)
    options = next(_wrong(problem, shipped, chosen), None)
    if options is None:
        return chosen
    for one in options:
        free = one.name not in chosen and not (
            one.name in problem.runtime and problem.protects(one.name)
        )
        if free:
            found = _search(problem, shipped, {**chosen, one.name: one}, most, seen)
            if found is not None:
                return found
    return None


def _wrong(
    problem: Problem, shipped: set[tuple[str, str]], chosen: dict[str, Metadata]
) -> Iterator[Iterator[Metadata]]:
    """Yield, for each thing that is wrong, the packages any of which would mend it."""
    held = {**problem.runtime, **chosen}
    for one in problem.asked:
        if not accepted(one, held[one.name].version if one.name in held else None):
            yield _taken(problem, one)
    for broken in metadata.unmet(held, problem.environment):
        if _what(broken) not in shipped:
            wanted = metadata.requirement(broken.requirement)
            yield chain(
                (
                    new
                    for new in problem.pool.get(broken.needs, ())
                    if metadata.admits(wanted, new.version)
                ),
                problem.pool.get(broken.package, ()),
            )


def _taken(problem: Problem, one: Requirement) -> Iterator[Metadata]:
    return (new for new in problem.pool.get(one.name, ()) if accepted(one, new.version))


def _what(one: metadata.Unmet) -> tuple[str, str]:
    return one.package, one.requirement
