"""Rebuild the papers that ship from their LaTeX sources: needs pdfTeX, for developers only.

The same sources give the same bytes: the date is fixed, and each PDF carries the SHA-256 of its
source, so that a source that was changed and not rebuilt shows.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from paperlora import process
from paperlora.errors import DataError, InputError
from paperlora.files import atomic, sha256_file
from paperlora.pipeline.fetch import paper_list

EPOCH = "1735689600"  # 2025-01-01; any fixed moment serves
SOURCE_KEY = "SourceSHA256"
_TIMEOUT = 120


def typeset(folder: Path, listing: Path) -> list[paper_list.Paper]:
    """Make a PDF of every ``.tex`` file of ``folder`` and write the list of papers to ``listing``.

    Raises ``InputError`` without pdfTeX, ``DataError`` for a source that TeX refuses.
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
        # Name and time, not the working directory, make the file's identifier.
        job = (
            rf"\pdftrailerid{{{source.stem}}}\pdfinfo{{/{SOURCE_KEY} ({sha256_file(source)})}}"
            rf"\input{{{source.name}}}"
        )
        for _ in range(2):  # the second pass knows the references of the first
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
                raise DataError(f"TeX refuses {source.name}: {reason}", remedy="mend the source")
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
