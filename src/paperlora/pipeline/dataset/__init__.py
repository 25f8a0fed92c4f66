"""Make examples: ``documents.jsonl`` comes in; one file of examples for each split goes out.

``dataset`` is the command: it cuts papers into passages, asks questions about them, splits by paper.
"""
