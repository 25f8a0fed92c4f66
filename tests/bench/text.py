"""Measure the text that papers are read as.

    env/nox -s bench -- text --shipped [--documents FILE] [--show PAPER]

``--shipped`` compares the papers that ship with their LaTeX sources (``judge`` has the rules).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

import judge
import latex

from paperlora.files import ROOT
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse import parse

PAPERS = ROOT / "src/paperlora/papers"


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
            wanted = " ".join(
                part if isinstance(part, str) else f"<{part.kind}>" for part in verdict.sentence
            )
            print(f"{verdict.result}\n  source: {wanted}\n  text:   {verdict.found}\n")
        print("lost: ", dict(score.lost))
        print("extra:", dict(score.extra))


def main() -> None:
    """Print the figures that the arguments ask for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shipped", action="store_true", help="compare with the LaTeX sources")
    parser.add_argument("--documents", type=Path, help="a documents.jsonl, instead of parsing now")
    parser.add_argument(
        "--show", help="show the damaged sentences of the papers with this in the name"
    )
    options = parser.parse_args()
    if options.shipped or options.documents or options.show:
        path = options.documents
        shipped(read_documents(path) if path else documents_of(PAPERS), options.show)
    else:
        parser.print_help(sys.stderr)


if __name__ == "__main__":
    main()
