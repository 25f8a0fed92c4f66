"""Scores and answers: the examples and an adapter go in, ``eval.json`` comes out.

``evaluate`` is the command, ``metric`` scores one answer; ``infer`` answers a user's questions.
"""
