"""Parse papers: a folder of PDFs goes in, ``documents.jsonl`` and ``parse.json`` come out.

``parse`` is the command. ``pool`` starts one child with limits for each paper (``forks``), and ``cache``
keeps what the children found (``outcome``). ``child`` turns one PDF into one ``document``; ``quality``
measures it, ``duplicates`` compares papers, ``shard`` divides them.

``reader`` reads by geometry, in this order: ``objects`` and ``glyphs`` (characters with place and font),
``margins`` (what stands around the text), ``columns`` and ``lines`` with ``scripts`` (reading order),
``formulas``, ``blocks`` (lines of one look), ``front`` (title, authors), ``roles`` with ``headings``
(what each block is), ``paragraphs`` and ``joining`` (text). ``pypdf2`` reads as the source paper did.
"""
