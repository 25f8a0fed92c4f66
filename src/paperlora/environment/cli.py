"""The environment's part of the command line; each command imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from paperlora.environment.host.diagnosis import Fit


def add(command: Callable[..., argparse.ArgumentParser], fits: Callable[[], Sequence[Fit]]) -> None:
    """Add the commands; ``command`` makes one, ``fits`` says what the pipeline's models need.

    The environment never imports the pipeline, so what it needs of that is handed in.
    """

    def examine(arguments: argparse.Namespace) -> None:
        _doctor(arguments, fits())

    verify = command("verify", _verify, "compare this environment with its lock")
    own = "target of the lock ($PAPERLORA_TARGET, or cuda)"
    verify.add_argument("--target", default="", help=own)
    verify.add_argument("--files", action="store_true", help="read every installed file too")
    verify.add_argument("--json", action="store_true", help="print the findings for a program")
    doctor = command("doctor", examine, "look at driver, GPU, memory and disk, and what fits")
    doctor.add_argument("--target", default="", help=own)
    doctor.add_argument("--json", action="store_true", help="print what was seen for a program")
    sbom = command("sbom", _sbom, "print what the lock installs as a CycloneDX document")
    sbom.add_argument("--target", default="", help=own)
    command("check", _check, "check the locks, offline: fresh, whole, consistent, in order")
    order = command("order", _order, "prove by installing them that the stages only append")
    order.add_argument("--target", default="cuda", help="target to install afresh (cuda)")
    order.add_argument("--python", default="", help="interpreter to build on (this one)")
    order.add_argument("--train", action="store_true", help="then train the tiny model there")
    order.add_argument("--keep", type=Path, metavar="DIR", help="leave the environment there")
    parity = command("parity", _parity, "compare a Colab runtime, our install on it, and the host")
    parity.add_argument("--target", default="colab-2026.04", help="Colab target (colab-2026.04)")
    parity.add_argument(
        "--freeze", default="", metavar="FILE", help="other packages: a freeze, a commit, or `here`"
    )
    parity.add_argument("--fetch", action="store_true", help="ask the index what packages require")
    parity.add_argument("--keep", action="store_true", help="keep what was fetched with the locks")
    parity.add_argument("--all", action="store_true", help="show every package of the runtime")
    parity.add_argument("--json", action="store_true", help="print it for a program")
    drift = command("drift", _drift, "say what moved since a Colab target was locked")
    drift.add_argument("--target", default="colab-2026.04", help="Colab target (colab-2026.04)")
    drift.add_argument(
        "--freeze", required=True, metavar="FILE", help="a newer freeze, or a commit"
    )
    drift.add_argument("--json", action="store_true", help="print it for a program")
    update = command("update", _update, "move the cutoff, lock anew, say what changed and why")
    update.add_argument("--cutoff", default="", help="nothing published later is taken (today)")
    update.add_argument(
        "--runtime", default="", help="Colab runtime to record first, with --freeze"
    )
    update.add_argument(
        "--freeze", default="", metavar="COMMIT", help="commit of its freeze, or FILE@COMMIT"
    )
    lock = command("lock", _lock, "resolve the targets anew and write the lockfiles")
    lock.add_argument("--target", nargs="*", default=[], help="targets to lock (all)")


def _verify(arguments: argparse.Namespace) -> None:
    from paperlora.environment.core import verify  # noqa: PLC0415

    target = arguments.target or verify.own_target()
    verify.run(target, files=arguments.files, as_json=arguments.json)


def _doctor(arguments: argparse.Namespace, fits: Sequence[Fit]) -> None:
    from paperlora.environment.core import verify  # noqa: PLC0415
    from paperlora.environment.host import doctor  # noqa: PLC0415

    target = arguments.target or verify.own_target()
    doctor.run(target, fits=fits, as_json=arguments.json)


def _sbom(arguments: argparse.Namespace) -> None:
    from paperlora.environment.core import verify  # noqa: PLC0415
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
