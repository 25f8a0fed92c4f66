"""Locks: what people ask for in ``env/`` goes in, hashed lockfiles come out, checked and proven.

``resolve`` makes them, ``update`` moves them on, ``check`` reads and ``order`` installs them to prove
them, ``sbom`` lists what they install.
"""
