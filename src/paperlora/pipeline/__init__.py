"""From papers to a tuned adapter and a report: one module per command."""
