"""Measures `parse` on many, damaged and hostile PDFs, and kills it at random moments.

    env/nox -s bench -- parse [--only mutated|hostile|killed|many] [--papers FOLDER] [--seed N]

- mutated: 2,000 damaged copies of the papers (bytes changed, cut off, swapped), 10 s for each.
- hostile: small PDFs that are slow or large to read, 20 s for each.
- killed: `kill -9` at twenty random moments, then once to its end; the bytes are those of an unbroken run.
- many: 200 PDFs, with all cores and with one: memory of parent and children, pages a second; PyPDF2 alone.

Prints one table for each, and ends with 1 when something is not as it must be. `--papers` names other
papers than those that ship.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import PyPDF2
from hostile import hostile, mutated
from pdfs import paper, text_pdf

from paperlora.files import read_json, read_jsonl
from paperlora.pipeline.inputs import SHIPPED_PAPERS
from paperlora.pipeline.parse import cache

MOST_PARENT_MIB = 200
# Reads a folder, and prints what it cost as the last line of stdout. With a fourth argument, on one core.
SCRIPT = """
import json, os, resource, sys
from pathlib import Path
from paperlora.errors import DataError
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse import parse

papers, run, seconds, *one_core = sys.argv[1:]
if one_core:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
config = CorpusConfig(timeout_seconds=int(seconds), near_duplicates="report")
try:
    parse.command(Path(papers), Path(run), known=[], config=config)
except DataError as error:
    print(error, file=sys.stderr)
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([*(one.ru_maxrss / 1024 for one in used), sum(one.ru_utime + one.ru_stime for one in used)]))
"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one `parse` took: seconds, MiB of the parent and the largest child, processor seconds."""

    seconds: float
    parent: float
    child: float
    processor: float
    longest_silence: float
    lines: list[tuple[float, str]]
    """What it printed, each line with its time in seconds."""


def command(folder: Path, run: Path, seconds: int, *one_core: str) -> list[str]:
    return [sys.executable, "-c", SCRIPT, str(folder), str(run), str(seconds), *one_core]


def measure(folder: Path, run: Path, seconds: int, *one_core: str) -> Cost:
    """Run `parse` over a folder; exits when it crashes."""
    words = command(folder, run, seconds, *one_core)
    began = time.monotonic()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        lines = [(time.monotonic() - began, line.rstrip()) for line in child.stderr or ()]
        printed = child.stdout.read() if child.stdout else ""
    took = time.monotonic() - began
    if child.returncode:
        sys.exit(f"parse ended with {child.returncode}: {lines[-3:]}")
    parent, largest, processor = json.loads(printed.splitlines()[-1])
    times = [0.0, *(moment for moment, _ in lines), took]
    silence = max(after - before for before, after in pairwise(times))
    return Cost(
        seconds=took,
        parent=parent,
        child=largest,
        processor=processor,
        longest_silence=silence,
        lines=lines,
    )


def whole(run: Path) -> int:
    """Return the number of files in a run that are not whole: half written, or not as stored."""
    bad = sum(
        path.name.startswith(".") or cache.load(run, path.name) is None
        for path in (run / cache.FOLDER).iterdir()
    )
    bad += sum(path.name.startswith(".") for path in run.iterdir() if path.name != cache.FOLDER)
    for row in read_jsonl(run / "documents.jsonl"):
        bad += not row["paragraphs"]
    return bad


def table(title: str, rows: dict[str, object]) -> None:
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:58} {f'{value:.3g}' if isinstance(value, float) else value}")


def run_mutated(place: Path, originals: list[bytes], seed: int) -> bool:
    folder, run, draw = place / "mutated", place / "mutated-run", random.Random(seed)
    folder.mkdir()
    for number in range(2000):
        data = mutated(originals[number % len(originals)], draw)
        (folder / f"{number:04}.pdf").write_bytes(data)
    cost = measure(folder, run, 10)
    reasons = [row["reason"] for row in read_json(run / "parse.json")["rejected"]]
    kinds = Counter(reason.split(" → ")[0].split(":")[0][:50] for reason in reasons)
    bad = whole(run)
    table(
        f"2,000 mutated PDFs (seed {seed})",
        {
            "accepted, rejected": f"{2000 - len(reasons)}, {len(reasons)}",
            "seconds": cost.seconds,
            "longest wait for the next paper (s); the limit is 10": cost.longest_silence,
            "peak memory of the parent, largest child (MiB)": f"{cost.parent:.0f}, {cost.child:.0f}",
            "files that are not whole": bad,
            **{f"rejected: {kind}": count for kind, count in kinds.most_common(8)},
        },
    )
    return not bad and cost.longest_silence < 12 and cost.parent < MOST_PARENT_MIB


def run_hostile(place: Path) -> bool:
    rows: dict[str, object] = {}
    good = True
    for number, (name, data) in enumerate(hostile().items()):
        folder, run = place / f"hostile-{number}", place / f"hostile-{number}-run"
        folder.mkdir()
        (folder / "hostile.pdf").write_bytes(data)
        (folder / "sound.pdf").write_bytes(text_pdf(paper(1)))
        cost = measure(folder, run, 20)
        [line] = [line for _, line in cost.lines if "hostile.pdf" in line]
        memory = f"{cost.parent:.0f} + {cost.child:.0f} MiB"
        rows[name] = f"{cost.seconds:5.1f} s  {memory:15} {line.partition(': ')[2][:70]}"
        sound = any("sound.pdf: 2 pages" in line for _, line in cost.lines)
        good = good and sound and cost.seconds < 25 and cost.parent < MOST_PARENT_MIB
    table("Hostile PDFs (each beside a sound one, which is accepted)", rows)
    return good


def run_killed(place: Path, originals: list[bytes], seed: int) -> bool:
    folder, run, draw = place / "killed", place / "killed-run", random.Random(seed)
    fill(folder, originals, 36)
    unbroken = place / "unbroken"
    length = measure(folder, unbroken, 60).seconds
    left = 0
    for _ in range(20):
        with subprocess.Popen(
            command(folder, run, 60), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as parent:
            time.sleep(draw.uniform(0, length / 4))
            children = descendants(parent.pid)
            parent.kill()
        time.sleep(0.2)
        left += sum(map(alive, children))
    before = len(list((run / cache.FOLDER).glob("[!.]*"))) if run.exists() else 0
    measure(folder, run, 60)
    names = ("documents.jsonl", "parse.json")
    same = all((run / name).read_bytes() == (unbroken / name).read_bytes() for name in names)
    read = len(list((run / cache.FOLDER).iterdir()))
    table(
        f"kill -9 at 20 random moments (seed {seed})",
        {
            "papers, of them read before the last run": f"{read}, {before}",
            "children that run 0.2 s after the kill": left,
            "the same bytes as an unbroken run": same,
            "files that are not whole": whole(run),
        },
    )
    return same and not left and not whole(run)


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in map(int, task.read_text(encoding="ascii").split()):
                found += [child, *descendants(child)]
        except OSError:
            continue
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"


def fill(folder: Path, originals: list[bytes], count: int) -> None:
    """Write ``count`` PDFs with different bytes."""
    folder.mkdir()
    for number in range(count):
        data = originals[number % len(originals)] + b"\n%% %d\n" % number
        (folder / f"{number:04}.pdf").write_bytes(data)


def run_many(place: Path, originals: list[bytes]) -> bool:
    folder = place / "many"
    fill(folder, originals, 200)
    cores = len(os.sched_getaffinity(0))
    costs = {
        f"all cores ({cores})": measure(folder, place / "all-run", 60),
        "one core": measure(folder, place / "one-run", 60, "one core"),
    }
    pages = sum(row["page_count"] for row in read_jsonl(place / "all-run" / "documents.jsonl"))
    rows: dict[str, object] = {"pages": pages}
    for name, cost in costs.items():
        rows[f"{name}: seconds"] = cost.seconds
        rows[f"{name}: pages a second"] = pages / cost.seconds
        rows[f"{name}: seconds a page"] = cost.seconds / pages
        rows[f"{name}: processor seconds a page"] = cost.processor / pages
        rows[f"{name}: peak memory of the parent, largest child (MiB)"] = (
            f"{cost.parent:.0f}, {cost.child:.0f}"
        )
    started, pages = time.process_time(), 0
    for original in originals:
        read = PyPDF2.PdfReader(io.BytesIO(original)).pages
        pages += len(read)
        for page in read:
            page.extract_text()
    rows["PyPDF2 alone: processor seconds a page"] = (time.process_time() - started) / pages
    again = measure(folder, place / "all-run", 60)
    rows["once more, nothing to read: seconds"] = again.seconds
    table("200 PDFs", rows)
    same = (place / "all-run/documents.jsonl").read_bytes() == (
        place / "one-run/documents.jsonl"
    ).read_bytes()
    return same and all(cost.parent < MOST_PARENT_MIB for cost in costs.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=("mutated", "hostile", "killed", "many"))
    parser.add_argument("--papers", type=Path, default=SHIPPED_PAPERS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    originals = [path.read_bytes() for path in sorted(arguments.papers.glob("*.pdf"))]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        parts = {
            "mutated": lambda: run_mutated(place, originals, arguments.seed),
            "hostile": lambda: run_hostile(place),
            "killed": lambda: run_killed(place, originals, arguments.seed),
            "many": lambda: run_many(place, originals),
        }
        for name, part in parts.items():
            if arguments.only in {None, name}:
                good = part() and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
