"""The environment's commands. Each one imports what it needs when it runs, so that help is fast."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paperlora.environment.core import verify

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from paperlora.environment.host.diagnosis import Fit


def add(command: Callable[..., argparse.ArgumentParser], fits: Callable[[], Sequence[Fit]]) -> None:
    """Add the commands: ``command`` makes one, ``fits`` returns what the pipeline's models need."""
    # ``fits`` is a parameter because the environment must not import the pipeline.

    def examine(arguments: argparse.Namespace) -> None:
        from paperlora.environment.host import doctor  # noqa: PLC0415

        target = arguments.target or verify.own_target()
        doctor.run(target, fits=fits(), as_json=arguments.json)

    check = command("verify", _verify, "compare this environment with its lock")
    check.add_argument("--files", action="store_true", help="compare every installed file too")
    examined = command("doctor", examine, "check driver, GPU, memory and disk, and what fits")
    sbom = command("sbom", _sbom, "print the locked packages as a CycloneDX document")
    command(
        "check",
        _check,
        "check that the locks are up to date, complete and in stage order; needs no network",
    )
    order = command(
        "order", _order, "install stage by stage, and test that no stage changes an earlier one"
    )
    order.add_argument("--target", default="cuda", help="target to install (default: cuda)")
    order.add_argument("--python", default="", help="interpreter to use (default: this one)")
    order.add_argument(
        "--train", action="store_true", help="then train the tiny model in that environment"
    )
    order.add_argument("--keep", type=Path, metavar="DIR", help="keep the environment in DIR")
    parity = command(
        "parity",
        _parity,
        "compare a Colab runtime before and after the install, and this lock's host",
    )
    freeze = (
        "other packages: a file of `pip freeze`, a commit of backend-info, or `here` (this Python)"
    )
    parity.add_argument("--freeze", default="", metavar="FILE", help=freeze)
    parity.add_argument("--fetch", action="store_true", help="get missing metadata from the index")
    parity.add_argument("--keep", action="store_true", help="store what --fetch got with the locks")
    parity.add_argument("--all", action="store_true", help="show every package of the runtime")
    drift = command("drift", _drift, "show what changed in Colab since a target was locked")
    freeze = "a newer file of `pip freeze`, or a commit of backend-info"
    drift.add_argument("--freeze", required=True, metavar="FILE", help=freeze)
    update = command(
        "update", _update, "use packages up to today, lock again, and list the changes"
    )
    cutoff = "ignore files published after this time, as 2026-11-20T00:00:00Z (default: today)"
    update.add_argument("--cutoff", default="", help=cutoff)
    update.add_argument(
        "--runtime", default="", help="add this Colab runtime first; needs --freeze"
    )
    freeze = "commit of googlecolab/backend-info; without a network FILE@COMMIT"
    update.add_argument("--freeze", default="", metavar="COMMIT", help=freeze)
    lock = command("lock", _lock, "choose the versions again and write the lock files")
    lock.add_argument("--target", nargs="*", default=[], help="targets to lock (default: all)")
    for one in (check, examined, sbom):
        target = "cuda, colab-2026.04 or colab-2026.07 (default: $PAPERLORA_TARGET, else the installed one)"
        one.add_argument("--target", default="", help=target)
    for one in (parity, drift):
        target = "Colab target (default: colab-2026.04)"
        one.add_argument("--target", default="colab-2026.04", help=target)
    for one in (check, examined, parity, drift):
        one.add_argument("--json", action="store_true", help="print JSON")


def _verify(arguments: argparse.Namespace) -> None:
    target = arguments.target or verify.own_target()
    verify.run(target, files=arguments.files, as_json=arguments.json)


def _sbom(arguments: argparse.Namespace) -> None:
    from paperlora.environment.locks import sbom  # noqa: PLC0415

    sbom.run(arguments.target or verify.own_target())


def _parity(arguments: argparse.Namespace) -> None:
    from paperlora.environment.colab import parity  # noqa: PLC0415

    parity.run(
        arguments.target,
        source=arguments.freeze,
        fetch=arguments.fetch,
        keep=arguments.keep,
        everything=arguments.all,
        as_json=arguments.json,
    )


def _drift(arguments: argparse.Namespace) -> None:
    from paperlora.environment.colab import drift  # noqa: PLC0415

    drift.run(arguments.target, arguments.freeze, as_json=arguments.json)


def _check(_: argparse.Namespace) -> None:
    from paperlora.environment.locks import check  # noqa: PLC0415

    check.run()


def _order(arguments: argparse.Namespace) -> None:
    from paperlora.environment.locks import order  # noqa: PLC0415

    keep = arguments.keep and arguments.keep.absolute()
    order.run(arguments.target, python=arguments.python, keep=keep, trains=arguments.train)


def _update(arguments: argparse.Namespace) -> None:
    from paperlora.environment.locks import update  # noqa: PLC0415

    update.run(cutoff=arguments.cutoff, name=arguments.runtime, freeze=arguments.freeze)


def _lock(arguments: argparse.Namespace) -> None:
    from paperlora.environment.locks import resolve  # noqa: PLC0415

    resolve.run(*arguments.target)
