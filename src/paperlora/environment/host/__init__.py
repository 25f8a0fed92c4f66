"""Examine this machine: what it has, which models fit, and the record that a result carries.

``doctor`` is the command: ``accelerator`` and ``machine`` look, ``diagnosis`` judges. ``record``
makes the environment record of a run.
"""
