"""Examples from text: ``documents.jsonl`` goes in, one file of examples for each split comes out.

``dataset`` is the command: it cuts papers into passages, asks about them, and splits by paper.
"""
