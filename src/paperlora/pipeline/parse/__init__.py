"""Parse papers: a folder of PDFs comes in; ``documents.jsonl`` and ``parse.json`` go out.

``parse`` is the command; ``document`` turns one PDF into one document. ``extract`` gets the text,
``clean`` and ``prose`` clean it, ``structure`` and ``headings`` divide it, ``quality`` measures it.
"""
