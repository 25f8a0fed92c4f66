"""Downloads papers: a list of papers goes in; a folder of PDFs with its own list comes out."""
