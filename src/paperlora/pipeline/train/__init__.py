"""Training: the examples and a base model go in, ``adapter/`` and ``metrics.jsonl`` come out.

``train`` is the command and has the loop; ``accumulate`` computes the gradients of a step; ``plan`` predicts
the GPU memory and chooses how to stay within it; ``checkpoint`` saves what an interrupted training resumes
from; ``progress`` counts, measures and writes what a complete training leaves.
"""
