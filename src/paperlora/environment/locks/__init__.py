"""Locks. In: the packages that people list in ``env/``. Out: hashed pins in ``lockfiles/``.

``resolve`` makes the locks and ``update`` moves them to newer versions; ``check`` examines them and
``order`` installs them as a proof; ``sbom`` lists what they install.
"""
