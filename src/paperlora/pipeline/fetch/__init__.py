"""Bring papers to a folder: a list of any kind goes in, a folder of PDFs with its own list comes out.

``fetch`` is the command. ``sources`` reads what `--list` names, with ``paper_list`` for our own kind of
list, ``bibliography`` for BibTeX and CSL JSON, and ``identify`` for single identifiers. ``transfer``
copies and downloads: ``lookup`` gets titles from arXiv and registrars, ``download`` gets one file and
resumes it, ``web`` repeats what failed, ``pace`` keeps the pauses between requests.
"""
