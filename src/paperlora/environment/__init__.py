"""Pinned environments: what each one should hold, what it holds, and how the two differ.

The ``__init__`` of each folder describes it. Nothing here imports the pipeline.
"""
