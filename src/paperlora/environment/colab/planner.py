"""Plan which of a runtime's packages must change so that the pipeline runs on it: as few as possible.

The search deepens step by step: first it tries to change no package, then one, and so on, so the
first answer is the smallest. Added packages do not count, protected ones never change, and the plan
breaks no requirement that the runtime met.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from paperlora.environment.locks import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from paperlora.environment.core.lock import Metadata
    from paperlora.environment.core.target import Requirement

MOST = 5
"""The most packages that a plan changes: a runtime that needs more is too different."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The input of a plan: ``pool`` has the versions to choose from, the best first.

    ``asked`` is what the pipeline requires, ``environment`` the values of markers.
    """

    runtime: Mapping[str, Metadata]
    asked: Sequence[Requirement]
    pool: Mapping[str, Sequence[Metadata]]
    environment: Mapping[str, str]
    protects: Callable[[str], bool]

    def plan(self) -> dict[str, str] | None:
        """Return name → version of the packages to install, with as few changed ones as possible.

        ``None``: no choice from the pool works that changes at most ``MOST`` packages.
        """
        for most in range(MOST + 1):
            if (chosen := self._search({}, most, set())) is not None:
                return dict(sorted((name, one.version) for name, one in chosen.items()))
        return None

    def _search(
        self, chosen: dict[str, Metadata], most: int, seen: set[frozenset[Metadata]]
    ) -> dict[str, Metadata] | None:
        """Solve the first problem in each possible way, then the next one, until there is none."""
        # The same choice can be reached in several orders: once is enough.
        state = frozenset(chosen.values())
        if state in seen or sum(name in self.runtime for name in chosen) > most:
            return None
        seen.add(state)
        options = next(self._problems(chosen), None)
        if options is None:
            return chosen
        for one in options:
            fixed = one.name in self.runtime and self.protects(one.name)
            if one.name not in chosen and not fixed:
                found = self._search({**chosen, one.name: one}, most, seen)
                if found is not None:
                    return found
        return None

    def _problems(self, chosen: dict[str, Metadata]) -> Iterator[Iterable[Metadata]]:
        """Yield, for each thing that is wrong, the packages of which any one may solve it."""
        held = {**self.runtime, **chosen}
        for one in self.asked:
            if not accepted(one, held[one.name].version if one.name in held else None):
                yield (new for new in self.pool.get(one.name, ()) if accepted(one, new.version))
        for broken in metadata.unmet(held, self.environment):
            if (broken.package, broken.requirement) not in self._shipped:
                wanted = metadata.requirement(broken.requirement)
                needed = self.pool.get(broken.needs, ())
                # Another version of what is needed, or of the package that needs it.
                yield chain(
                    (new for new in needed if metadata.admits(wanted, new.version)),
                    self.pool.get(broken.package, ()),
                )

    @cached_property
    def _shipped(self) -> set[tuple[str, str]]:
        unmet = metadata.unmet(self.runtime, self.environment)
        return {(one.package, one.requirement) for one in unmet}


def changed(chosen: Mapping[str, str], runtime: Mapping[str, str]) -> dict[str, str]:
    """Return those of ``chosen`` that the runtime has in another version."""
    return {name: one for name, one in chosen.items() if name in runtime and runtime[name] != one}


def accepted(one: Requirement, version: str | None) -> bool:
    """Return whether the pipeline accepts a version (``""``: unknown, ``None``: not installed)."""
    if version is None:
        return False
    return version == "" or metadata.accepts(one.accepts or one.version, version)
