"""The pipeline's part of the command line; each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paperlora.errors import FindingsError, InputError
from paperlora.pipeline import chain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paperlora.environment.host.diagnosis import Fit
    from paperlora.pipeline.run import Settings

_TEXTS = {
    "parse": "read the text of the papers",
    "dataset": "make examples; each paper goes to training, validation or test",
    "train": "train the adapter; runs parse and dataset first if needed",
    "eval": "score the base and the tuned model, and write the report",
    "report": "write report.json, report.html, the plots and the model card",
}


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands; ``command`` makes one."""
    run, begin, verified = _run_options(), _chain_options(), _verified_options()
    for name, text in _TEXTS.items():
        added = command(name, _chain, text, run, begin, verified)
        if name == "parse":
            added.add_argument(
                "--shard",
                metavar="I/N",
                help="read only part I of N, on one of N machines; then `parse` joins all parts",
            )
    infer = command("infer", _infer, "ask the tuned model a question", run, verified)
    infer.add_argument(
        "question", nargs="*", help="the question; without it, type questions, one a line"
    )
    infer.add_argument(
        "--max-new-tokens",
        type=_at_least_one,
        default=120,
        help="tokens of the answer at most (default: 120)",
    )
    infer.add_argument(
        "--no-context", action="store_true", help="answer without a passage from the papers"
    )
    fetch = command("fetch", _fetch, "bring the papers of a list to a folder", verified)
    fetch.add_argument(
        "--list",
        dest="papers_list",
        required=True,
        metavar="LIST",
        help="source-papers, a file (JSON, BibTeX, CSL JSON, or an arXiv identifier, DOI or URL on "
        "each line), or a folder of PDFs",
    )
    fetch.add_argument(
        "--to",
        type=Path,
        default=Path("papers"),
        metavar="FOLDER",
        help="where to save the PDFs (default: papers)",
    )
    fetch.add_argument(
        "--record", action="store_true", help="store the SHA-256 of each PDF in the lists"
    )
    compare = command(
        "compare", _compare, "check whether two runs gave the same results (exit code 1 if not)"
    )
    compare.add_argument("runs", nargs=2, metavar="RUN", help="name or folder of a run")


def fits() -> Sequence[Fit]:
    """Return how much GPU memory the models need, for ``doctor``."""
    from paperlora.pipeline.train import plan  # noqa: PLC0415

    return plan.fits()


def _verified_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--unverified",
        action="store_true",
        help="continue although the environment differs from its lock; results record it",
    )
    return options


def _run_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--run",
        help="name of the run, or its folder (default: the configuration's name, with that of the papers)",
    )
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the run, e.g. train.max_steps=10; the run keeps it",
    )
    options.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute (default: auto, a GPU if there is one)",
    )
    return options


def _chain_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--config",
        help="what a new run begins with: demo (default), tiny, paper or a TOML file",
    )
    options.set_defaults(shard=None)
    options.add_argument(
        "more",
        nargs="*",
        type=_chain_name,
        help="more commands: parse, dataset, train, eval, report",
    )
    options.add_argument(
        "--papers", type=Path, help="folder of PDFs (a new run without it: those that ship)"
    )
    options.add_argument(
        "--force",
        action="store_true",
        help="run the named commands again (train from its first step)",
    )
    return options


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _chain_name(name: str) -> str:
    if name not in chain.CHAIN:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(chain.CHAIN)}")
    return name


def _environment(arguments: argparse.Namespace) -> dict[str, Any]:
    """Verify this environment and return its record.

    Raises ``EnvironmentNotVerifiedError`` when it differs and ``--unverified`` was not given.
    """
    from paperlora.environment.core import verify  # noqa: PLC0415
    from paperlora.environment.host import record  # noqa: PLC0415

    target = verify.own_target()
    if not arguments.unverified:
        verify.require(target)
    return record.make(target)


def _chain(arguments: argparse.Namespace) -> None:
    environment = _environment(arguments)
    from paperlora.pipeline import run  # noqa: PLC0415
    from paperlora.pipeline.parse import shard  # noqa: PLC0415

    names = [arguments.command, *arguments.more]
    part = shard.from_text(arguments.shard) if arguments.shard else None
    if part and arguments.more:
        raise InputError(
            f"--shard is for `parse` alone, not for {' '.join(arguments.more)}",
            remedy="run `parse` without --shard when all parts are read; it joins them",
        )
    name = Path(arguments.config or "demo").stem
    if arguments.papers:
        name = f"{name}-{arguments.papers.resolve().name}"
    folder = run.folder(arguments.run or name)
    if not {*names} & {*chain.BEGINNERS}:
        run.require(folder)
    with run.locked(folder, shared=part is not None):
        settings = run.settings(
            folder, config=arguments.config, papers=arguments.papers, overrides=arguments.set
        )
        if part and settings.changes:
            raise InputError(
                f"part {part} would change the settings of the run: {settings.changes[0]}",
                remedy="give each part the same options, or name a new --run",
            )
        others = [one for one in settings.changes if one.startswith("corpus.papers ")]
        if others and arguments.papers and not arguments.run:
            raise InputError(
                f"the run {folder.name} has other papers: {others[0]}", remedy="name one with --run"
            )
        job = chain.Job(
            run=folder,
            settings=settings,
            environment=environment,
            device=arguments.device,
            forced=frozenset(names if arguments.force else ()),
            shard=part,
        )
        chain.check(job, names)
        run.store_settings(folder, settings)
        _print_changes(settings)
        chain.execute(job, names)
    _print_results(folder, names)


def _print_changes(settings: Settings) -> None:
    """Print which settings changed, and which command runs again because of that."""
    for change in settings.changes:
        again = chain.first_again(change)
        print(f"{change}: `{again}` and what follows it have to run again", file=sys.stderr)


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
    environment = _environment(arguments)
    from paperlora.pipeline import run  # noqa: PLC0415
    from paperlora.pipeline.config import InferSections  # noqa: PLC0415
    from paperlora.pipeline.evaluate import infer  # noqa: PLC0415

    folder = run.folder(arguments.run or "demo")
    run.require(folder)
    # Without a change there is nothing to lock, so a training may go on beside.
    with run.locked(folder) if arguments.set else nullcontext():
        settings = run.settings(folder, overrides=arguments.set)
        job = chain.Job(
            run=folder, settings=settings, environment=environment, device=arguments.device
        )
        chain.check(job, ["infer"])
        if arguments.set:
            run.store_settings(folder, settings)
            _print_changes(settings)
    chain.require_adapter(folder)
    session = infer.start(folder, InferSections(**job.sections("infer")), device=arguments.device)
    if note := chain.adapter_note(job):
        print(f"note: {note}", file=sys.stderr)
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
    from paperlora.pipeline import run  # noqa: PLC0415
    from paperlora.pipeline.report import compare  # noqa: PLC0415

    left, right = (run.folder(name) for name in arguments.runs)
    for folder in (left, right):
        run.require(folder)
    if lines := compare.differences(left, right):
        print("\n".join(lines), flush=True)  # before the message on stderr
        raise FindingsError(f"{left} and {right} differ in {len(lines)} results")
    print(f"{left} and {right} agree: the same results, the same adapter")
