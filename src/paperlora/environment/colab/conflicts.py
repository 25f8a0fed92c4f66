"""Conflicts: which requirements of a runtime's own packages an install would break.

Every requirement of every package is evaluated before and after; what a runtime ships with broken
is told apart from what the install would add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from paperlora.environment.locks import metadata
from paperlora.environment.locks.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paperlora.environment.locks.metadata import Unmet


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``shipped``: unmet before and after; ``new``: by the install; ``mended``: before only.

    ``known`` packages were evaluated; of ``unknown`` ones nobody has said what they require.
    """

    shipped: list[Unmet]
    new: list[Unmet]
    mended: list[Unmet]
    known: int
    unknown: list[str]


def held(
    versions: Mapping[str, str], known: Mapping[tuple[str, str], Metadata]
) -> dict[str, Metadata]:
    """Return name → metadata with the version that is really there; unknown ones require nothing."""
    return {
        name: known.get((name, version), Metadata(name=name, version=version))
        for name, version in versions.items()
    }


def compare(
    before: Mapping[str, str],
    after: Mapping[str, str],
    known: Mapping[tuple[str, str], Metadata],
    environment: Mapping[str, str],
) -> Comparison:
    """Compare what is unmet among ``before`` and among ``after`` (name → version)."""
    old = metadata.unmet(held(before, known), environment)
    new = metadata.unmet(held(after, known), environment)
    told, telling = ({(one.package, one.requirement) for one in some} for some in (old, new))
    unknown = sorted(name for name, one in after.items() if (name, one) not in known)
    return Comparison(
        shipped=[one for one in new if (one.package, one.requirement) in told],
        new=[one for one in new if (one.package, one.requirement) not in told],
        mended=[one for one in old if (one.package, one.requirement) not in telling],
        known=len(after) - len(unknown),
        unknown=unknown,
    )
