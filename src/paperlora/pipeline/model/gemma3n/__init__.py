"""Gemma 3n in 4 bits on a GPU of 8 GB: how it is loaded, and a training step written for it.

Files → ``reader`` (which keeps one table on the host) → ``parameters`` (the model as the step reads it).
Examples → ``packing`` (rows of fixed length) → ``runner`` (CUDA graphs) → ``step`` (the whole model) →
``layer`` → ``products`` (matrix products) and the operations between them: ``plain`` defines them in
torch, ``fused`` launches ``kernels/``.
"""
