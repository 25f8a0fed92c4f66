"""Text from papers: a folder of PDFs goes in, ``documents.jsonl`` and ``parse.json`` come out.

``parse`` is the command, ``document`` reads one paper. The text is taken out by ``extract``, cleaned
by ``clean`` and ``prose``, cut up by ``structure`` and ``headings``, and measured by ``quality``.
"""
