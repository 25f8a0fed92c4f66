"""Papers from the web: a list of papers goes in, a folder of PDFs with their list comes out.

``fetch`` is the command; ``paper_list`` reads and writes the list, ``download`` brings one file,
``web`` explains what servers answer.
"""
