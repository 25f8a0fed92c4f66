"""Write the report: from what the other commands left in a run to ``report.html``, plots and model card.

``report`` is the command and writes ``report.json``; ``render`` fills ``report.html`` and ``card.md``
from it, ``plots`` draws it, ``verdict`` and ``wording`` put it into words. ``compare`` finds the
differences between the reports of two runs.
"""
