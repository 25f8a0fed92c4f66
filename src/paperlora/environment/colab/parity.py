"""Parity: Colab as it is, Colab after our install, and the host or image, package by package.

It also says which of the runtime's own packages the install would break, and whether a smaller
change would have done.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from paperlora.environment.colab import catalogue, conflicts, planner
from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.core.terminal import columns, paint
from paperlora.environment.locks import freeze, metadata
from paperlora.errors import FindingsError, InputError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from paperlora.environment.colab.conflicts import Comparison
    from paperlora.environment.core.lock import Lock
    from paperlora.environment.core.target import Target
    from paperlora.environment.locks.metadata import Metadata, Unmet

    Known = Mapping[tuple[str, str], Metadata]

HOST = "cuda"
_COLOURS = {"same": "", "changed": "yellow", "added": "green", "host only": "grey"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One package; ``""`` where it is not installed. ``state`` is what our install does to it."""

    package: str
    colab: str
    after: str
    host: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The answer for one runtime: ``chosen`` is the planner's, ``locked`` what the slices install.

    ``None``: the planner found no way, of the versions whose requirements are known.
    ``unserved`` are packages that the install leaves in a version that the pipeline does not accept.
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
    """Return a row for each package that any of the three has."""
    rows = []
    for name in sorted({*colab, *locked, *host}):
        before, after = colab.get(name, ""), locked.get(name) or colab.get(name, "")
        if name not in locked:
            state = "same" if name in colab else "host only"
        elif name in colab:
            state = "same" if before == after else "changed"
        else:
            state = "added"
        here = host.get(name, "")
        rows.append(Row(package=name, colab=before, after=after, host=here, state=state))
    return rows


def examine(
    target: Target, lock: Lock, colab: Mapping[str, str], host: Mapping[str, str], known: Known
) -> Parity:
    """Compare, look for conflicts, and plan anew, for a runtime that has ``colab`` (name → version)."""
    environment = metadata.marker_environment(target.runtime.python)
    locked = {name: one.version for name, (_, one) in lock.packages(target.python[0]).items()}
    after = {**colab, **locked}
    asked = [one for stage in target.stages for one in stage.requirements]
    chosen = planner.plan(
        planner.Problem(
            runtime=conflicts.held(colab, known),
            asked=asked,
            pool=_pool(known, {**host, **locked}),
            environment=environment,
            protects=target.protects,
        )
    )
    return Parity(
        rows=table(colab, locked, host),
        comparison=conflicts.compare(colab, after, known, environment),
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


def _pool(known: Known, tested: Mapping[str, str]) -> dict[str, list[Metadata]]:
    """Return the versions to choose from: first those that a lock has, then the newest."""
    return {
        name: sorted(some, key=lambda one: one.version != tested.get(one.name))
        for name, some in catalogue.versions_of(known).items()
    }


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

    ``source`` is the runtime's packages: a freeze file, a commit, or ``here`` for this interpreter;
    by default the facts recorded with the lock. Raises ``FindingsError`` when the install would
    break something, or changes more packages than it must.
    """
    target = targets.load(target_name, root=root)
    if not target.colab:
        raise InputError(f"{target_name} is no Colab target", remedy="name one with --target")
    lock, known = locks.load(target_name, root=root), catalogue.known(root=root)
    if source == "here":
        own = catalogue.here()
        known |= {(one.name, one.version): one for one in own.values()}
        colab = {name: one.version for name, one in own.items()}
    else:
        colab = freeze.read(source) if source else target.runtime.packages
    pins = [pin for pin in colab.items() if pin[1]]
    if fetch:
        known |= catalogue.learn([pin for pin in pins if pin not in known], target.python[0])
    if keep:
        catalogue.keep(pins, root=root)
    host = locks.load(HOST, root=root).packages(target.python[0])
    answer = examine(
        target, lock, colab, {name: one.version for name, (_, one) in host.items()}, known
    )
    if as_json:
        print(json.dumps({"target": target_name, **asdict(answer)}, indent=1))
    else:
        _print(answer, target, len(colab), everything=everything)
    _judge(answer, target_name)


def _judge(answer: Parity, target_name: str) -> None:
    wrong = []
    if new := answer.comparison.new:
        wrong.append(f"the install breaks {', '.join(sorted({one.package for one in new}))}")
    if answer.unserved:
        wrong.append(f"it leaves {', '.join(answer.unserved)}, which the pipeline does not accept")
    if not wrong and answer.fewest is not None and len(answer.changed) > answer.fewest:
        wrong.append(f"it changes {', '.join(answer.changed)} where {answer.fewest} would do")
    if wrong:
        raise FindingsError(
            f"{target_name} does not suit this runtime: {'; '.join(wrong)}",
            remedy="pick the runtime that it was locked for, or lock anew (`nox -s update`)",
        )


def _print(answer: Parity, target: Target, count: int, *, everything: bool) -> None:
    rows = [row for row in answer.rows if everything or row.host or row.package in answer.locked]
    heads = ("package", "Colab", "Colab after", "host, image", "our install")
    cells = [(row.package, row.colab, row.after, row.host, row.state) for row in rows]
    colours = ["", *(_COLOURS[row.state] for row in rows)]
    dashed = [tuple(cell or "—" for cell in row) for row in cells]
    print("\n".join(columns([heads, *dashed], colours)))
    if len(rows) < len(answer.rows):
        rest = len(answer.rows) - len(rows)
        print(paint(f"and {rest} packages of Colab's that are not ours (--all shows them)", "grey"))
    print(f"\n{target.name}: {count} packages there, our install: {_counts(answer)}")
    _print_conflicts(answer)
    if answer.chosen is None:
        print(f"the planner knows no versions with which at most {planner.MOST} changes would do")
        return
    plan = ", ".join(f"{name} {version}" for name, version in answer.chosen.items())
    print(f"fewest changed packages: {answer.fewest}; the planner's choice: {plan}")


def _print_conflicts(answer: Parity) -> None:
    seen = answer.comparison
    print(f"requirements evaluated of {seen.known} packages, not known of {len(seen.unknown)}")
    if seen.unknown:
        through = ", ".join(answer.changed) or "nothing, since nothing is changed"
        print(f"  these could be hurt only through {through}")
        print("  → --fetch asks the index; on Colab, `--freeze here` reads the runtime's own")
    print(f"conflicts that Colab ships with: {len(seen.shipped)}")
    print("".join(f"  {_told(one)}\n" for one in seen.shipped), end="")
    state = "red" if seen.new else "green"
    among = " among those evaluated" if seen.unknown else ""
    print(paint(f"conflicts that our install adds: {len(seen.new)}{among}", state))
    print("".join(f"  {_told(one)}\n" for one in seen.new), end="")
    if seen.mended:
        print(f"conflicts that it mends: {len(seen.mended)}")
        print("".join(f"  {_told(one)}\n" for one in seen.mended), end="")


def _counts(answer: Parity) -> str:
    changes = [
        f"{row.package} {row.colab} → {row.after}" for row in answer.rows if row.state == "changed"
    ]
    added = sum(row.state == "added" for row in answer.rows)
    return f"{len(changes)} changed ({', '.join(changes) or 'none'}), {added} added"


def _told(one: Unmet) -> str:
    return f"{one.package} requires {one.requirement}, found {one.found or 'nothing'}"
