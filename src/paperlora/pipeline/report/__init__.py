"""The report: what the other commands left in a run goes in; a page, plots and a model card come out.

``report`` is the command and makes ``report.json``; ``page`` and ``card`` render it, ``plots`` draws
it, ``wording`` puts it into words. ``compare`` holds the reports of two runs against each other.
"""
