"""Parse papers: a folder of PDFs comes in; ``documents.jsonl`` and ``parse.json`` go out."""
