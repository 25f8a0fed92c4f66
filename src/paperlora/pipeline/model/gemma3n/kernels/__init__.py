"""Triton kernels; ``plain`` beside this folder says what each computes."""
