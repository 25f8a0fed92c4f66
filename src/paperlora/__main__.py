"""The command line over both halves: ``paperlora COMMAND … [options]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

from paperlora import __version__
from paperlora.environment import cli as environment
from paperlora.errors import FOREIGN, INTERRUPTED, DataError, PaperloraError
from paperlora.pipeline import cli as pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTERNAL = 70
_EPILOG = """\
Commands on one run may be named together: `train eval`. A command does nothing if its result is up to date.
Exit codes: 0 good; 1 a check found problems; 2 bad input, usage or settings; 3 the environment differs
from its lock; 4 network; 5 data or disk; 70 a fault of paperlora; 130 interrupted."""


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

    pipeline.add(command)
    environment.add(command, pipeline.fits)
    return parser


if __name__ == "__main__":
    sys.exit(main())
