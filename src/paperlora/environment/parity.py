"""Parity: Colab as it is, Colab after our install, and the host or image, package by package.

It also says which of the runtime's own packages the install would break, and whether a smaller
change would have done.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from paperlora.environment import catalogue, conflicts, freeze, metadata, planner
from paperlora.environment import lock as locks
from paperlora.environment import target as targets
from paperlora.environment.terminal import columns, paint
from paperlora.errors import FindingsError, InputError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from paperlora.environment.conflicts import Comparison
    from paperlora.environment.lock import Lock
    from paperlora.environment.metadata import Metadata, Unmet
    from paperlora.environment.target import Target

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
    """The answer for one runtime: ``chosen`` is the planner's, ``locked`` what the slices install."""

    rows: list[Row]
    comparison: Comparison
    locked: dict[str, str]
    chosen: dict[str, str]
    fewest: int
    changed: dict[str, str]


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
    chosen = planner.plan(
        planner.Problem(
            runtime=conflicts.held(colab, known),
            asked=[one for stage in target.stages for one in stage.requirements],
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
        fewest=len(planner.changed(chosen, colab)),
        changed=planner.changed(locked, colab),
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
        known |= {catalogue.key(one.name, one.version): one for one in own.values()}
        colab = {name: one.version for name, one in own.items()}
    else:
        colab = freeze.read(source) if source else target.runtime.packages
    pins = [catalogue.key(name, version) for name, version in colab.items() if version]
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
    if new := answer.comparison.new:
        raise FindingsError(
            f"the install of {target_name} breaks {len(new)} requirements of the runtime",
            remedy="choose the runtime that the lock was made for, or run `nox -s lock`",
        )
    if len(answer.changed) > answer.fewest:
        raise FindingsError(
            f"{target_name} changes {', '.join(answer.changed)} where {answer.fewest} would do",
            remedy="look at the plan above and at `accepts` in env/stages.toml",
        )


def _print(answer: Parity, target: Target, count: int, *, everything: bool) -> None:
    rows = [row for row in answer.rows if everything or row.host or row.package in answer.locked]
    heads = ("package", "Colab", "Colab after", "host, image", "our install")
    cells = [(row.package, row.colab, row.after, row.host, row.state) for row in rows]
    colours = ["", *(_COLOURS[row.state] for row in rows)]
    print(
        "\n".join(columns([heads, *(tuple(cell or "—" for cell in row) for row in cells)], colours))
    )
    if len(rows) < len(answer.rows):
        rest = len(answer.rows) - len(rows)
        print(paint(f"and {rest} packages of Colab's that are not ours (--all shows them)", "grey"))
    seen = answer.comparison
    print(f"\nColab {target.runtime.name}: {count} packages, our install: {_counts(answer)}")
    print(f"requirements evaluated of {seen.known} packages, not known of {len(seen.unknown)}")
    if seen.unknown:
        print(
            "  → --fetch asks the index for them; on Colab, `--freeze here` reads the runtime's own"
        )
    print(f"conflicts that Colab ships with: {len(seen.shipped)}")
    print("".join(f"  {_told(one)}\n" for one in seen.shipped), end="")
    state = "red" if seen.new else "green"
    print(paint(f"conflicts that our install adds: {len(seen.new)}", state))
    print("".join(f"  {_told(one)}\n" for one in seen.new), end="")
    if seen.mended:
        print(f"conflicts that it mends: {len(seen.mended)}")
        print("".join(f"  {_told(one)}\n" for one in seen.mended), end="")
    plan = ", ".join(f"{name} {version}" for name, version in answer.chosen.items())
    print(f"fewest changed packages: {answer.fewest}; the plan: {plan}")


def _counts(answer: Parity) -> str:
    changes = [
        f"{row.package} {row.colab} → {row.after}" for row in answer.rows if row.state == "changed"
    ]
    added = sum(row.state == "added" for row in answer.rows)
    return f"{len(changes)} changed ({', '.join(changes) or 'none'}), {added} added"


def _told(one: Unmet) -> str:
    return f"{one.package} requires {one.requirement}, found {one.found or 'nothing'}"
