"""Make examples: ``documents.jsonl`` comes in; one file of examples for each split goes out."""
