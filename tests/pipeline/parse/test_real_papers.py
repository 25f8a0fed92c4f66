"""Papers as publishers made them: not in the repository, so the folder is named by the caller."""

import json
import os
from pathlib import Path

import pytest

from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse import parse


@pytest.mark.published
def test_real_papers_read_as_english(tmp_path):
    parse.command(
        Path(os.environ["PAPERLORA_REAL_PAPERS"]), tmp_path, known=[], config=CorpusConfig()
    )
    assert json.loads((tmp_path / "parse.json").read_text())["rejected"] == []
    documents = {d["paper"]: d for d in map(json.loads, (tmp_path / "documents.jsonl").open())}
    shares = {name: d["quality"][d["extractor"]] for name, d in documents.items()}
    assert min(shares.values()) > 0.89, shares
    hard = documents["batch-normalization"]
    assert hard["extractor"] == "pdfium"
    assert hard["quality"]["pypdf2"] < 0.9  # the control: PyPDF2's text is poor
    assert hard["quality"]["pdfium"] >= 0.92
