"""Make examples: ``documents.jsonl`` goes in, one file of examples for each split comes out.

``dataset`` is the command: it splits by paper, cuts papers into passages, and makes questions from them.
"""
