"""The command line over both halves: ``paperlora COMMAND … [options]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paperlora import __version__
from paperlora.environment import cli
from paperlora.errors import (
    FOREIGN,
    INTERRUPTED,
    DataError,
    FindingsError,
    InputError,
    PaperloraError,
)
from paperlora.files import ROOT
from paperlora.pipeline.chain import CHAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paperlora.pipeline.train import plan

INTERNAL = 70
_EPILOG = """\
Commands of the chain may be named together: `paperlora train eval`. Each brings up to date what it
builds on and skips what is done. Exit codes: 0 good; 1 findings; 2 bad input, usage or config;
3 environment not verified; 4 network; 5 data or disk; 70 a fault of paperlora; 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `docker stop` is a Ctrl-C
    try:
        if folder := os.environ.get("PAPERLORA_CWD"):
            os.chdir(folder)  # nox moves to its own folder; relative paths are the user's
        arguments.action(arguments)
    except PaperloraError as error:
        return _fail(str(error), error.code, arguments)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, arguments)
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        message = DataError(
            f"{error.strerror or error}{where}", remedy="check the path, its rights and the disk"
        )
        return _fail(str(message), message.code, arguments)
    except Exception as error:  # noqa: BLE001 - the last resort; --debug shows the traceback
        if known := FOREIGN.get(type(error).__name__):
            return _fail(f"{error or type(error).__name__} → {known[1]}", known[0], arguments)
        text = f"{type(error).__name__}: {error} → a fault of paperlora; add --debug for details"
        return _fail(text, INTERNAL, arguments)
    return 0


def _fail(message: str, code: int, arguments: argparse.Namespace) -> int:
    if arguments.debug:
        traceback.print_exc()
    # One line, whatever a file's name or a server's answer put into it.
    line = "".join(c if c.isprintable() else " " for c in message)
    print(f"paperlora: {' '.join(line.split())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show a traceback with an error")
    parser = argparse.ArgumentParser(
        prog="paperlora",
        description="LoRA fine-tuning of 4-bit language models on your own papers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"paperlora {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str,
        action: Callable[[argparse.Namespace], None],
        text: str,
        *parents: argparse.ArgumentParser,
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, parents=[common, *parents])
        added.set_defaults(action=action, command=name)
        return added

    run, chain = _run_options(), _chain_options()
    texts = {
        "parse": "read the text of the papers",
        "dataset": "make examples and splits, split by paper",
        "train": "train the adapter",
        "eval": "score base and tuned model, and write the report",
        "report": "write report.json, the plots and report.html",
    }
    for name, text in texts.items():
        command(name, _chain, text, run, chain)
    infer = command("infer", _infer, "ask the tuned adapter a question", run)
    infer.add_argument("question", nargs="*", help="the question; without one, read from stdin")
    infer.add_argument(
        "--max-new-tokens", type=_at_least_one, default=120, help="longest answer (120)"
    )
    infer.add_argument("--no-context", action="store_true", help="give the model no passage")
    fetch = command("fetch", _fetch, "download a list of papers to a folder")
    fetch.add_argument(
        "--list", type=Path, dest="papers_list", required=True, help="JSON list of papers"
    )
    fetch.add_argument("--to", type=Path, default=Path("papers"), help="folder (papers)")
    fetch.add_argument("--record", action="store_true", help="write new hashes into the list")
    compare = command("compare", _compare, "say whether two runs gave the same results")
    compare.add_argument("runs", nargs=2, help="names or folders of two runs")
    cli.add(command, _fits)
    return parser


def _run_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--run", help="name of the run, or its folder (default: the config's name)"
    )
    options.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. train.max_steps=10"
    )
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options.add_argument(
        "--unverified",
        action="store_true",
        help="go on in an environment that differs from its lock",
    )
    return options


def _chain_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--config",
        help="demo, tiny, paper or a TOML file (default: that of the run named by --run, or demo)",
    )
    options.add_argument("more", nargs="*", type=_chain_name, help="further commands of the chain")
    options.add_argument("--papers", type=Path, help="folder of PDFs (default: those that ship)")
    options.add_argument("--force", action="store_true", help="do again what is already done")
    return options


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 up")
    return int(text)


def _chain_name(name: str) -> str:
    if name not in CHAIN:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(CHAIN)}")
    return name


def _run_folder(name: str) -> Path:
    """Return the folder of a run: a path when it has a slash, else a name under ``runs``."""
    if "/" in name:
        return Path(name)
    return Path(os.environ.get("PAPERLORA_RUNS") or ROOT / "runs") / name


def _environment(arguments: argparse.Namespace) -> dict[str, Any]:
    """Verify this environment and return its record.

    Raises ``EnvironmentNotVerifiedError`` when it differs and ``--unverified`` was not given.
    """
    from paperlora.environment.core import verify  # noqa: PLC0415
    from paperlora.environment.host import record  # noqa: PLC0415

    target = verify.own_target()
    if not getattr(arguments, "unverified", False):
        verify.require(target)
    return record.make(target)


def _chain(arguments: argparse.Namespace) -> None:
    environment = _environment(arguments)
    from paperlora.pipeline import chain, config  # noqa: PLC0415

    name = arguments.config or "demo"
    run = Path(name).stem
    if arguments.papers:
        run = f"{run}-{arguments.papers.resolve().name}"
    run_folder = _run_folder(arguments.run or run)
    stored = run_folder / "config.toml"
    if arguments.run and not arguments.config and stored.is_file():
        name = str(stored)  # a run goes on as it began, but for what is said anew
    settings = config.load(name, arguments.set)
    if arguments.papers:
        settings = config.with_papers(settings, arguments.papers.resolve())
    names = [arguments.command, *arguments.more]
    job = chain.Job(
        run=run_folder,
        config=settings,
        environment=environment,
        device=arguments.device,
        forced=frozenset(names if arguments.force else ()),
    )
    chain.execute(job, names)
    _print_results(job.run, names)


def _print_results(run: Path, names: list[str]) -> None:
    from paperlora.files import read_json  # noqa: PLC0415

    if "eval" in names or "report" in names:
        scores = read_json(run / "report.json")["eval"]
        print(f"{'':10} {'perplexity':>21} {'accuracy':>19}")
        print(f"{'split':10} {'base':>10} {'tuned':>10} {'base':>9} {'tuned':>9}")
        for split, base in scores["base"].items():
            tuned = scores["tuned"][split]
            print(
                f"{split:10} {_two(base['perplexity'])} {_two(tuned['perplexity'])} "
                f"{base['accuracy']:9.1%} {tuned['accuracy']:9.1%}"
            )
        print(f"report: {_shown(run / 'report.html')}")
    if "train" in names:
        print(f"adapter: {_shown(run / 'adapter')}")


def _shown(path: Path) -> str:
    """Return the path as the user would write it: relative where they stand above it."""
    return os.path.relpath(path) if path.absolute().is_relative_to(Path.cwd()) else str(path)


def _two(value: float | None) -> str:
    return f"{'—':>10}" if value is None else f"{value:10.2f}"


def _infer(arguments: argparse.Namespace) -> None:
    _environment(arguments)
    from paperlora.pipeline import config  # noqa: PLC0415
    from paperlora.pipeline.evaluate import infer  # noqa: PLC0415

    run = _run_folder(arguments.run or "demo")
    stored = run / "config.toml"
    if not stored.is_file():
        raise InputError(f"{run} is no run", remedy="name one with --run, or run `train` first")
    settings = config.load(str(stored), arguments.set)
    session = infer.start(run, settings, device=arguments.device)
    for question in infer.questions(arguments.question):
        infer.answer(
            session,
            question,
            max_new_tokens=arguments.max_new_tokens,
            context=not arguments.no_context,
        )


def _fetch(arguments: argparse.Namespace) -> None:
    _environment(arguments)
    from paperlora.pipeline.fetch import fetch  # noqa: PLC0415

    fetch.run(arguments.papers_list, arguments.to, record=arguments.record)


def _compare(arguments: argparse.Namespace) -> None:
    from paperlora.pipeline.report import compare  # noqa: PLC0415

    left, right = (_run_folder(name) for name in arguments.runs)
    if lines := compare.differences(left, right):
        print("\n".join(lines))
        raise FindingsError(f"{left} and {right} differ in {len(lines)} results")
    print(f"{left} and {right} agree: the same results, the same adapter")


def _fits() -> list[plan.Fit]:
    from paperlora.pipeline.train import plan  # noqa: PLC0415

    return plan.fits()


if __name__ == "__main__":
    sys.exit(main())
