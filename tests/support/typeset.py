"""Build the papers that ship from their LaTeX sources, with pdfTeX: `env/nox -s papers` runs this.

The same sources give the same bytes, since the date is fixed. Each PDF holds the SHA-256 of its
source, so that a test finds a source that was changed and not built again.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from paperlora import process
from paperlora.errors import DataError, InputError, PaperloraError
from paperlora.files import ROOT, atomic, sha256_file
from paperlora.pipeline.fetch import paper_list

PAPERS = ROOT / "src/paperlora/papers"
LISTING = ROOT / "lockfiles/papers.json"
EPOCH = "1735689600"  # 2025-01-01; any fixed moment would do
SOURCE_KEY = "SourceSHA256"
_TIMEOUT = 120


def typeset(folder: Path, listing: Path) -> list[paper_list.Paper]:
    """Make a PDF of every ``.tex`` file of ``folder`` and write the list of papers to ``listing``.

    Raises ``InputError`` without pdfTeX, ``DataError`` for a source that TeX cannot typeset.
    """
    compiler = shutil.which("pdflatex")
    if compiler is None:
        raise InputError(
            "pdflatex is not installed",
            remedy="install texlive-latex-extra, texlive-science, lmodern and cm-super",
        )
    made = [_paper(compiler, source) for source in sorted(folder.glob("*.tex"))]
    paper_list.write(listing, made)
    return made


def _paper(compiler: str, source: Path) -> paper_list.Paper:
    text = source.read_text(encoding="utf-8")
    pdf = source.with_suffix(".pdf")
    with tempfile.TemporaryDirectory() as folder:
        # The file's identifier is made of its name and time, and not of the working directory.
        job = (
            rf"\pdftrailerid{{{source.stem}}}\pdfinfo{{/{SOURCE_KEY} ({sha256_file(source)})}}"
            rf"\input{{{source.name}}}"
        )
        for _ in range(2):  # the second pass reads the references that the first wrote
            done = process.run(
                [
                    *(compiler, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"),
                    *(f"-output-directory={folder}", f"-jobname={source.stem}", job),
                ],
                timeout=_TIMEOUT,
                environment={
                    "PATH": str(Path(compiler).parent) + ":/usr/bin:/bin",
                    "HOME": folder,
                    "TEXINPUTS": f"{source.parent.resolve()}:",
                    "SOURCE_DATE_EPOCH": EPOCH,
                    "FORCE_SOURCE_DATE": "1",
                },
            )
            if done.code:
                lines = done.stdout.decode(errors="replace").splitlines()
                reason = next((line for line in lines if line.startswith("!")), "see its log")
                raise DataError(
                    f"TeX cannot typeset {source.name}: {reason}", remedy="fix the source"
                )
        with atomic(pdf) as file:
            file.write((Path(folder) / pdf.name).read_bytes())
    print(f"typeset {pdf.name}", file=sys.stderr)
    return paper_list.Paper(
        name=source.stem,
        title=_title(source, text),
        field=_found(r"^% field: (\w+)", text, source, "line `% field: …`"),
        file=pdf.name,
        sha256=sha256_file(pdf),
        licence="CC0-1.0",
    )


def _title(source: Path, text: str) -> str:
    title = _found(r"/Title\s*\(([^)]+)\)", text, source, r"\pdfinfo{/Title (…)}")
    return " ".join(title.split())


def _found(pattern: str, text: str, source: Path, what: str) -> str:
    if match := re.search(pattern, text, re.MULTILINE):
        return match.group(1)
    raise DataError(f"{source.name} has no {what}", remedy="add it")


if __name__ == "__main__":
    try:
        for paper in typeset(PAPERS, LISTING):
            print(f"{paper.sha256}  {paper.file}")
    except PaperloraError as error:
        print(f"papers: {error}", file=sys.stderr)
        sys.exit(error.code)
