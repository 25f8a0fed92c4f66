"""This machine: what it has, what fits, and the record of it that a result carries.

``doctor`` is the command; it asks ``accelerator`` and ``machine`` and puts ``diagnosis`` into words.
``record`` makes the environment record.
"""
