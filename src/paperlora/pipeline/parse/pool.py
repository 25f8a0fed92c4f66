"""Read many papers at once, each in a child of its own, and store what the children found."""

from __future__ import annotations

import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from paperlora.environment.host import machine
from paperlora.errors import DAMAGED, DataError, EnvironmentNotVerifiedError
from paperlora.pipeline.parse import cache
from paperlora.pipeline.parse.forks import ForkServer, ServerEndedError
from paperlora.pipeline.parse.outcome import Outcome, from_answer, limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paperlora.pipeline.config import CorpusConfig

_WORK = "paperlora.pipeline.parse.child"


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A file to read."""

    path: Path
    sha256: str
    entry: dict[str, Any]
    """What a document takes from the list of papers."""
    key: str
    """The name of what is stored about it (``cache.key``)."""


def read_papers(run: Path, papers: Sequence[Paper], config: CorpusConfig) -> dict[str, Outcome]:
    """Return file name → outcome for each of ``papers``; the documents are stored in ``run``.

    Papers that are stored already are not read. Raises ``EnvironmentNotVerifiedError`` when a
    library cannot be imported.
    """
    found: dict[str, Outcome] = {}
    for paper in papers:
        if stored := cache.load(run, paper.key):
            found[paper.path.name] = stored[0]
            if stored[0].reason:
                skip(paper.path.name, stored[0].reason)
    if found:
        print(f"parse: {len(found)} of {len(papers)} papers are read already", file=sys.stderr)
    missing = [paper for paper in papers if paper.path.name not in found]
    if not missing:
        return found
    try:
        server = ForkServer(_WORK)
    except ServerEndedError as error:
        raise _damaged(str(error)) from None
    pool = ThreadPoolExecutor(children_at_once(config.memory_mib))
    try:
        jobs = {pool.submit(_read, server, run, paper, config): paper for paper in missing}
        bar = tqdm(as_completed(jobs), total=len(jobs), desc="parse", unit="paper", disable=None)
        for job in bar:
            name = jobs[job].path.name
            found[name] = job.result()
            # Without a terminal there is no bar, but one line for each paper.
            _print(name, found[name], f"{len(found)} of {len(papers)}: " if bar.disable else "")
    except ServerEndedError as error:
        raise DataError(
            f"the process that starts the readers ended ({error})",
            remedy="run the command again: it resumes. If memory is short, close other programs",
        ) from None
    finally:
        server.close()  # first, because the threads of the pool wait for its children
        pool.shutdown(cancel_futures=True)
    return found


def _print(name: str, outcome: Outcome, place: str) -> None:
    if outcome.reason:
        skip(name, outcome.reason, place)
    elif place:
        size = f"{outcome.pages} pages, {outcome.words} words"
        print(f"{place}{shown(name)}: {size}", file=sys.stderr)


def _read(server: ForkServer, run: Path, paper: Paper, config: CorpusConfig) -> Outcome:
    """Read one paper in a child, store what it found, and return the outcome."""
    request = {
        "path": str(paper.path.absolute()),
        "sha256": paper.sha256,
        "entry": paper.entry,
        "config": config.model_dump(),
    }
    answer = server.run(request, limits(config))
    result, document = from_answer(answer, config)
    if result.environment:
        raise _damaged(result.reason)
    if not result.passing:
        cache.store(run, paper.key, result, document)
    return result


def _damaged(reason: str) -> EnvironmentNotVerifiedError:
    return EnvironmentNotVerifiedError(f"no PDF can be read: {reason}", remedy=DAMAGED)


def children_at_once(memory_mib: int) -> int:
    """Return how many children may run at once: one per core, if the free memory is enough."""
    count = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):  # "max" is not a number: there is no limit
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        count = min(count, math.ceil(int(quota) / int(period)))
    if (free := machine.free_memory()) is not None:
        count = min(count, free // (memory_mib << 20))
    return max(count, 1)


def skip(name: str, reason: str, place: str = "") -> None:
    """Print that a paper is skipped, above the progress bar if there is one."""
    tqdm.write(f"{place}skipped {shown(name)}: {reason}", file=sys.stderr)


def shown(name: str) -> str:
    """Return a file name with ``?`` for each byte that is not UTF-8 and for each control code."""
    name = name.encode(errors="replace").decode()
    return "".join(character if character.isprintable() else "?" for character in name)
