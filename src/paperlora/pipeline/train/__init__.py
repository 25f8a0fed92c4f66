"""Training: the examples and a base model go in, ``adapter/`` and ``metrics.jsonl`` come out.

``train`` is the command and has the loop; ``schedule`` has the learning rate and the order of the examples;
``accumulate`` computes the gradients of a step; ``plan`` predicts the GPU memory and chooses how to stay
within it; ``checkpoint`` saves what an interrupted training resumes from; ``progress`` counts and measures;
``finish`` writes what a complete training leaves, and keeps an earlier adapter.
"""
