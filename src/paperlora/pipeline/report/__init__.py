"""Write the report: from the files of a run to ``report.json``, ``report.html``, plots and card."""
