"""Scores and answers: the examples and an adapter go in, ``eval.json`` comes out."""
