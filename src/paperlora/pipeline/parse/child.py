"""Read one paper to its end in a bounded child: text, cleaning and measures.

A server imports this module once and forks a child for each paper (``forks``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paperlora.files import json_line
from paperlora.pipeline.config import CorpusConfig
from paperlora.pipeline.parse.document import read_document
from paperlora.pipeline.parse.duplicates import sketch
from paperlora.pipeline.parse.outcome import Outcome, encode, from_error
from paperlora.pipeline.parse.quality import word_list
from paperlora.pipeline.parse.rejected import RejectedError


def prepare() -> None:
    """Load the list of words, so that the children share it."""
    word_list()


def answer(request: dict[str, Any]) -> bytes:
    """Return the outcome for a paper and its document; ``request`` is from ``parse.read_papers``."""
    config = CorpusConfig.model_construct(**request["config"])
    try:
        document = read_document(
            Path(request["path"]), sha256=request["sha256"], entry=request["entry"], config=config
        )
        texts = [paragraph["text"] for paragraph in document["paragraphs"]]
        found = Outcome(pages=document["page_count"], words=document["words"], sketch=sketch(texts))
        return encode(found) + json_line(document)
    except RejectedError as error:
        return encode(Outcome(reason=" ".join(str(error).split())))
    except Exception as error:  # noqa: BLE001 - whatever one paper does, the others are read
        return encode(from_error(error, config))
