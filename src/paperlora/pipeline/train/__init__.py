"""Training: the examples and a base model go in, ``adapter/`` and ``metrics.jsonl`` come out.

``train`` is the command and has the loop; ``accumulate`` computes the gradients of a step, ``plan``
the GPU memory that a step needs, ``checkpoint`` keeps what an interrupted training goes on from.
"""
