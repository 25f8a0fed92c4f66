"""Parse papers: a folder of PDFs goes in, ``documents.jsonl`` and ``parse.json`` come out.

``parse`` is the command. ``readers`` starts one child with limits for each paper (``forks``), and
``cache`` keeps what the children found (``outcome``). ``child`` reads one paper with ``document``:
``extract`` takes the text out, ``clean`` and ``prose`` repair it, ``structure`` and ``headings`` cut
it up, ``quality`` measures it. ``duplicates`` compares the papers, ``shard`` divides them.
"""
