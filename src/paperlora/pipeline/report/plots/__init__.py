"""Draw the plots of a report as PNG files, from ``report.json`` and the rows of a run.

``plots`` is the entry and draws loss and memory; ``words`` draws the papers, ``scores`` accuracy and
perplexity, ``adapter`` the adapter; ``palette`` has the colours.
"""
