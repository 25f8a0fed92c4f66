"""Write the report: the results of a run go in; ``report.json``, a page, plots and a model card come out.

``report`` is the command. ``render`` fills ``report.html`` and ``card.md``; ``verdict`` says what the scores
show; ``wording`` writes numbers; ``plots`` draws. ``compare`` compares the reports of two runs.
"""
