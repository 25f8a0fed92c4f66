"""Parse papers: a folder of PDFs goes in, ``documents.jsonl`` and ``parse.json`` come out.

``parse`` is the command, ``document`` reads one paper: ``extract`` takes the text out in a child process,
``clean`` and ``prose`` repair it, ``structure`` and ``headings`` cut it up, ``quality`` measures it.
"""
