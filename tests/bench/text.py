"""Measure the text that papers are read as.

    env/nox -s bench -- text --shipped [--documents FILE] [--show PAPER]
    env/nox -s bench -- text --layouts [--write FOLDER]
    env/nox -s bench -- text --papers FOLDER

``--shipped`` compares the papers that ship with their LaTeX sources (``judge`` has the rules).
``--layouts`` and ``--papers`` print a row for each paper and reader (``comparison`` has the rules): made-up
papers against their truth, published ones against poppler's prose. The time is that of one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import comparison
import judge
import latex
import layouts
import pypdfium2
import readers

from paperlora.files import ROOT
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse import parse
from paperlora.pipeline.parse.quality import word_list

PAPERS = ROOT / "src/paperlora/papers"
PUBLISHED = Path(__file__).with_name("published.toml")


def documents_of(folder: Path) -> list[dict]:
    """Return the documents that ``parse`` makes of the PDFs in ``folder``."""
    with tempfile.TemporaryDirectory() as run:
        parse.command(folder, Path(run), known=[], config=CorpusConfig())
        return read_documents(Path(run) / "documents.jsonl")


def read_documents(path: Path) -> list[dict]:
    """Return the rows of a ``documents.jsonl``."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def shipped_scores(documents: list[dict]) -> dict[str, judge.Score]:
    """Return paper → the comparison of its text with its LaTeX source."""
    texts = {row["paper"]: [part["text"] for part in row["paragraphs"]] for row in documents}
    return {
        source.stem: judge.score(latex.read(source), texts.get(source.stem, []))
        for source in sorted(PAPERS.glob("*.tex"))
    }


def shipped(documents: list[dict], show: str | None) -> None:
    """Print the table of the papers that ship, or the damaged sentences of one of them."""
    scores = shipped_scores(documents)
    if show:
        _show([score for paper, score in scores.items() if show in paper])
        return
    print("| paper | words | bag F1 | ordered F1 | lost | extra | sentences | marked | damaged |")
    print("| --- | " + "--- | " * 8)
    for paper, score in scores.items():
        cells = [
            *(paper, score.words, f"{score.bag_f1:.4f}", f"{score.ordered_f1:.4f}"),
            *(score.lost.total(), score.extra.total()),
            *(len(score.verdicts), score.marked, len(score.damaged)),
        ]
        print("| " + " | ".join(map(str, cells)) + " |")
    every = list(scores.values())
    bag, ordered = [s.bag_f1 for s in every], [s.ordered_f1 for s in every]
    kinds: dict[str, int] = {}
    for score in every:
        for verdict in score.damaged:
            kinds[verdict.result] = kinds.get(verdict.result, 0) + 1
    print(f"bag F1: median {median(bag):.4f}, worst {min(bag):.4f} (wanted 0.995, 0.990)")
    print(f"ordered F1: median {median(ordered):.4f}, worst {min(ordered):.4f} (wanted 0.993)")
    print(f"words lost: {sum(s.lost.total() for s in every)} (wanted at most 60)")
    print(
        f"sentences: {sum(len(s.verdicts) for s in every)}, marked {sum(s.marked for s in every)}, "
        f"damaged {sum(len(s.damaged) for s in every)} (wanted 0): {kinds}"
    )


def _show(scores: list[judge.Score]) -> None:
    for score in scores:
        for verdict in score.damaged:
            wanted = judge.shown(verdict.sentence)
            print(f"{verdict.result}\n  source: {wanted}\n  text:   {verdict.found}\n")
        print("lost: ", dict(score.lost))
        print("extra:", dict(score.extra))


COLUMNS = (
    "title | headings | false | glued: list, reference | torn: list, reference | recall | precision "
    "| foreign | s a page"
)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a reader should find in one paper."""

    title: str
    headings: list[str]
    inline: list[str]
    wanted: comparison.Reference | None


def table(papers: dict[str, tuple[Path, Truth | None]]) -> None:
    """Print one row a paper and reader; without a truth, poppler's prose is the reference."""
    known = word_list()
    for reader, why in readers.missing().items():
        print(f"{reader} is left out: {why}")
    print(f"| paper | reader | {COLUMNS} |")
    print("| --- | --- |" + " --- |" * 9)
    for name, (path, truth) in papers.items():
        readings = readers.read_all(path, known)
        wanted = truth.wanted if truth else None
        if wanted is None and "poppler" in readings:
            text = readings["poppler"].paragraphs
            wanted = comparison.reference(comparison.prose_of(text, known), whole=[" ".join(text)])
        with pypdfium2.PdfDocument(path) as document:
            pages = len(document)
        for reader, reading in readings.items():
            cells = _cells(reading, truth, wanted, pages, known)
            print(f"| {name} | {reader} | {' | '.join(cells)} |", flush=True)


def _cells(
    reading: readers.Reading,
    truth: Truth | None,
    wanted: comparison.Reference | None,
    pages: int,
    known: frozenset[str],
) -> list[str]:
    if reading.fault:
        return [reading.fault, *["–"] * 8]
    title = right = false = "–"
    if truth and reading.title is not None:
        title = "yes" if comparison.same_title(reading.title, truth.title) else "no"
        found, wrong = comparison.headings_found(truth.headings, truth.inline, reading.headings)
        right, false = f"{found} of {len(truth.headings)}", str(wrong)
    figures = comparison.compare(reading.paragraphs, wanted, known)
    shares = (figures.recall, figures.precision, figures.foreign)
    return [
        *(title, right, false),
        *(
            f"{one}, {'–' if other is None else other}"
            for one, other in (figures.glued, figures.torn)
        ),
        *("–" if share is None else f"{share:.3f}" for share in shares),
        f"{reading.seconds / pages:.4f}",
    ]


def layout_papers(folder: Path) -> dict[str, tuple[Path, Truth | None]]:
    """Write the made-up papers to ``folder``; return name → file and truth."""
    folder.mkdir(parents=True, exist_ok=True)
    papers: dict[str, tuple[Path, Truth | None]] = {}
    for paper in layouts.every():
        path = folder / f"{paper.name}.pdf"
        path.write_bytes(paper.pdf)
        wanted = comparison.reference(paper.prose, optional=paper.footnotes)
        papers[paper.name] = (
            path,
            Truth(title=paper.title, headings=paper.headings, inline=[], wanted=wanted),
        )
    return papers


def published_papers(folder: Path) -> dict[str, tuple[Path, Truth | None]]:
    """Return name → file and truth of the PDFs in ``folder``; the truth of six papers is known."""
    facts = tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))
    return {
        path.stem: (path, Truth(**facts[path.stem], wanted=None) if path.stem in facts else None)
        for path in sorted(folder.glob("*.pdf"))
    }


def main() -> None:
    """Print the figures that the arguments ask for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shipped", action="store_true", help="compare with the LaTeX sources")
    parser.add_argument("--documents", type=Path, help="a documents.jsonl, instead of parsing now")
    parser.add_argument("--show", help="show the damage in the papers that have this in their name")
    parser.add_argument(
        "--layouts", action="store_true", help="compare made-up layouts with their truth"
    )
    parser.add_argument("--write", type=Path, help="keep the PDFs of --layouts in this folder")
    parser.add_argument(
        "--papers", type=Path, help="compare the papers of this folder with poppler"
    )
    options = parser.parse_args()
    if options.shipped or options.documents or options.show:
        path = options.documents
        shipped(read_documents(path) if path else documents_of(PAPERS), options.show)
    if options.layouts or options.write:
        with tempfile.TemporaryDirectory() as folder:
            table(layout_papers(options.write or Path(folder)))
    if options.papers:
        table(published_papers(options.papers))
    if len(sys.argv) == 1:
        parser.print_help(sys.stderr)


if __name__ == "__main__":
    main()
