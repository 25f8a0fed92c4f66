"""Run the ``parity`` command: compare a Colab runtime, our install on it, and the host or image.

It compares package by package, evaluates every requirement before and after the install (a runtime
may have conflicts of its own), and checks whether fewer changes would be enough.
"""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING

from paperlora.environment.colab import catalogue, planner
from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.core.lock import Metadata
from paperlora.environment.core.terminal import columns, paint
from paperlora.environment.locks import freeze, metadata
from paperlora.errors import FindingsError, InputError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from paperlora.environment.core.lock import Lock
    from paperlora.environment.core.target import Target
    from paperlora.environment.locks.metadata import Unmet

    Known = Mapping[tuple[str, str], Metadata]

_COLOURS = {"same": "", "changed": "yellow", "added": "green", "host only": "grey"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """The versions of one package (``""``: not installed); ``state`` is what our install does to it."""

    package: str
    colab: str
    after: str
    host: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Unmet requirements: ``shipped`` before and after, ``new`` only after, ``mended`` only before.

    ``known`` is the number of evaluated packages; the requirements of ``unknown`` ones are missing.
    """

    shipped: list[Unmet]
    new: list[Unmet]
    mended: list[Unmet]
    known: int
    unknown: list[str]


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The result for one runtime: ``locked`` is what the slices install, ``chosen`` the plan.

    ``chosen`` is ``None`` when there is no plan with the versions whose requirements are known.
    ``unserved`` lists packages whose version after the install is not accepted by the pipeline.
    """

    rows: list[Row]
    comparison: Comparison
    locked: dict[str, str]
    chosen: dict[str, str] | None
    fewest: int | None
    changed: dict[str, str]
    unserved: list[str]


def table(
    colab: Mapping[str, str], locked: Mapping[str, str], host: Mapping[str, str]
) -> list[Row]:
    """Return a row for each package of any of the three."""

    def state(name: str) -> str:
        if name not in colab:
            return "added" if name in locked else "host only"
        return "changed" if locked.get(name, colab[name]) != colab[name] else "same"

    return [
        Row(
            package=name,
            colab=colab.get(name, ""),
            after=locked.get(name) or colab.get(name, ""),
            host=host.get(name, ""),
            state=state(name),
        )
        for name in sorted({*colab, *locked, *host})
    ]


def held(versions: Mapping[str, str], known: Known) -> dict[str, Metadata]:
    """Return name → metadata of the installed version; where unknown, without requirements."""
    return {
        name: known.get((name, version), Metadata(name=name, version=version))
        for name, version in versions.items()
    }


def compare(
    before: Mapping[str, str],
    after: Mapping[str, str],
    known: Known,
    environment: Mapping[str, str],
) -> Comparison:
    """Compare the unmet requirements among ``before`` and ``after`` (name → version)."""
    # Not by the version found: the same requirement may be broken by another version afterwards.
    old, new = (
        {
            (one.package, one.requirement): one
            for one in metadata.unmet(held(some, known), environment)
        }
        for some in (before, after)
    )
    # The exact version counts: another build can have other requirements.
    unknown = sorted(name for name, one in after.items() if (name, one) not in known)
    return Comparison(
        shipped=[one for key, one in new.items() if key in old],
        new=[one for key, one in new.items() if key not in old],
        mended=[one for key, one in old.items() if key not in new],
        known=len(after) - len(unknown),
        unknown=unknown,
    )


def examine(
    target: Target, lock: Lock, colab: Mapping[str, str], host: Mapping[str, str], known: Known
) -> Parity:
    """Compare, find conflicts, and plan, for a runtime with the packages ``colab`` (name → version)."""
    environment = metadata.marker_environment(target.runtime.python)
    locked = {name: one.version for name, (_, one) in lock.packages(target.python[0]).items()}
    after = {**colab, **locked}
    asked = [one for stage in target.stages for one in stage.requirements]
    chosen = planner.Problem(
        runtime=held(colab, known),
        asked=asked,
        pool=catalogue.pool(known, {**host, **locked}),
        environment=environment,
        protects=target.protects,
    ).plan()
    return Parity(
        rows=table(colab, locked, host),
        comparison=compare(colab, after, known, environment),
        locked=locked,
        chosen=chosen,
        fewest=None if chosen is None else len(planner.changed(chosen, colab)),
        changed=planner.changed(locked, colab),
        unserved=[
            f"{one.name} {after.get(one.name, 'missing')}"
            for one in asked
            if not planner.accepted(one, after.get(one.name))
        ],
    )


def run(
    target_name: str,
    *,
    source: str = "",
    fetch: bool = False,
    keep: bool = False,
    everything: bool = False,
    as_json: bool = False,
    root: Path = ROOT,
) -> None:
    """Print the table, the conflicts and the plan for a Colab target.

    ``source`` names the runtime's packages: a freeze file, a commit, or ``here`` for this
    interpreter; by default they come from ``env/colab``. Raises ``FindingsError`` when the install
    would break something, or changes more packages than necessary.
    """
    target = targets.load(target_name, root=root)
    if not target.colab:
        raise InputError(f"{target_name} is not a Colab target", remedy="name one with --target")
    lock, known = locks.load(target_name, root=root), catalogue.known(root=root)
    if source == "here":
        own = catalogue.here()
        # The metadata on this machine is right even where the index has another build.
        known |= {(one.name, one.version): one for one in own.values()}
        colab = {name: one.version for name, one in own.items()}
    else:
        colab = freeze.read(source) if source else target.runtime.packages
    pins = [pin for pin in colab.items() if pin[1]]  # a freeze may name a package without version
    if fetch:
        known |= catalogue.learn([pin for pin in pins if pin not in known], target.python[0])
    if keep:
        catalogue.keep(pins, root=root)
    pinned = locks.load("cuda", root=root).packages(target.python[0])
    host = {name: one.version for name, (_, one) in pinned.items()}
    answer = examine(target, lock, colab, host, known)
    if as_json:
        print(json.dumps({"target": target_name, **asdict(answer)}, indent=1))
    else:
        _print(answer, target, len(colab), everything=everything)
    wrong = []
    if new := answer.comparison.new:
        wrong.append(f"the install breaks {', '.join(sorted({one.package for one in new}))}")
    if answer.unserved:
        wrong.append(f"it leaves {', '.join(answer.unserved)}, which the pipeline does not accept")
    if not wrong and answer.fewest is not None and len(answer.changed) > answer.fewest:
        what = ", ".join(answer.changed)
        wrong.append(f"it changes {what}, although {answer.fewest} would be enough")
    if wrong:
        raise FindingsError(
            f"{target_name} does not suit this runtime: {'; '.join(wrong)}",
            remedy="use the runtime that it was locked for, or lock again with `env/nox -s update`",
        )


def _print(answer: Parity, target: Target, count: int, *, everything: bool) -> None:
    rows = [row for row in answer.rows if everything or row.host or row.package in answer.locked]
    heads = ("package", "Colab", "Colab after", "host, image", "our install")
    cells = [tuple(cell or "—" for cell in astuple(row)) for row in rows]
    colours = ["", *(_COLOURS[row.state] for row in rows)]
    print("\n".join(columns([heads, *cells], colours)))
    if len(rows) < len(answer.rows):
        rest = len(answer.rows) - len(rows)
        print(paint(f"and {rest} other packages of Colab (--all shows them)", "grey"))
    changes = [
        f"{row.package} {row.colab} → {row.after}" for row in answer.rows if row.state == "changed"
    ]
    added = sum(row.state == "added" for row in answer.rows)
    result = f"{len(changes)} changed ({', '.join(changes) or 'none'}), {added} added"
    print(f"\n{target.name}: the runtime has {count} packages, our install: {result}")
    _print_conflicts(answer)
    if answer.chosen is None:
        print(f"no plan with the known versions changes at most {planner.MOST} packages")
        return
    plan = ", ".join(f"{name} {version}" for name, version in answer.chosen.items())
    print(f"fewest changed packages: {answer.fewest}; the plan installs {plan or 'nothing'}")


def _print_conflicts(answer: Parity) -> None:
    seen = answer.comparison
    print(f"requirements of {seen.known} packages evaluated, of {len(seen.unknown)} not known")
    if seen.unknown:
        through = ", ".join(answer.changed) or "nothing, because nothing changes"
        print(f"  the install can break these only through {through}")
        print("  → --fetch asks the index; on Colab, `--freeze here` reads the runtime itself")
    among = " among those evaluated" if seen.unknown else ""
    colour = "red" if seen.new else "green"
    for title, some in (
        (f"conflicts that Colab has by itself: {len(seen.shipped)}", seen.shipped),
        (paint(f"conflicts that our install adds: {len(seen.new)}{among}", colour), seen.new),
        (f"conflicts that our install resolves: {len(seen.mended)}", seen.mended),
    ):
        if some or some is not seen.mended:
            print(title)
        for one in some:
            print(f"  {one.package} requires {one.requirement}, found {one.found or 'nothing'}")
