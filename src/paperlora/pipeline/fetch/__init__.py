"""Download papers: a list of papers goes in, a folder of PDFs with its own list comes out.

``fetch`` is the command. ``paper_list`` reads and writes lists; ``download`` gets one file and resumes it;
``web`` turns the answers of servers into errors, and says which are tried again.
"""
