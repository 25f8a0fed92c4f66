"""Compare with Colab: what an install changes on a runtime, and what changed since it was locked.

``parity`` is the comparison: ``catalogue`` collects what packages require, ``planner`` finds the
fewest changes. ``drift`` compares the runtime that was locked with a newer one.
"""
