"""Score and answer: the examples and an adapter go in, ``eval.json`` comes out.

``evaluate`` is the command and generates the answers; ``metric`` scores one of them. ``infer`` answers the
questions of a user.
"""
