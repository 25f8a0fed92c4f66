"""Training: the examples and a base model go in, ``adapter/`` and ``metrics.jsonl`` come out.

``train`` is the command and has the loop; ``schedule`` chooses the examples and the learning rate of a step;
``accumulate`` computes its gradients; ``plan`` predicts the GPU memory and chooses how to stay within it;
``checkpoint`` saves what an interrupted training resumes from; ``finish`` writes what a complete one leaves;
``progress`` counts, ``memory`` measures, ``interrupt`` delays signals.
"""
