"""Papers as publishers made them: not in the repository, so the folder is named by the caller."""

import json
import os
from pathlib import Path

import pytest

from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse import parse


def read(run, **settings):
    papers = Path(os.environ["PAPERLORA_REAL_PAPERS"])
    config = CorpusConfig.model_validate(settings)
    parse.command(papers, run, known=[], config=config)
    assert json.loads((run / "parse.json").read_text())["rejected"] == []
    return {d["paper"]: d for d in map(json.loads, (run / "documents.jsonl").open())}


@pytest.mark.published
def test_real_papers_read_as_english(tmp_path):
    documents = read(tmp_path / "geometry")
    qualities = {name: document["quality"] for name, document in documents.items()}
    assert min(quality["known"] for quality in qualities.values()) > 0.89, qualities
    assert sum(quality["glued"] for quality in qualities.values()) <= 10, qualities
    hard = documents["batch-normalization"]
    assert hard["title"].startswith("Batch Normalization: Accelerating Deep Network Training by")
    assert hard["authors"] == ["Sergey Ioffe", "Christian Szegedy"]
    assert hard["quality"]["known"] >= 0.93
    # the control: PyPDF2's text of that paper is poor
    poor = read(tmp_path / "pypdf2", extractor="pypdf2")["batch-normalization"]["quality"]
    assert poor["known"] < 0.9
    assert poor["glued"] > 50
