"""Gemma 3n in 4 bits on a small card: its loading, and a training step written for it."""
