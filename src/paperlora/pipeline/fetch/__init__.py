"""Downloads papers: a list of papers goes in; a folder of PDFs with its own list comes out.

``fetch`` is the command, ``paper_list`` reads and writes lists, ``download`` downloads one file,
``web`` turns the answers of servers into errors.
"""
