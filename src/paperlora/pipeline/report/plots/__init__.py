"""Draw the plots of a report as PNG files."""
