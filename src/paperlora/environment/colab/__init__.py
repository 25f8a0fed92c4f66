"""Colab: what an install changes on a Colab runtime, and what changed since it was locked.

``parity`` is the comparison, from ``catalogue``, ``conflicts`` and ``planner``; ``drift`` compares two
releases of a runtime.
"""
