"""All that an install needs. Standard library only, since it runs before any package is installed.

In: ``env/`` (``target``, ``runtime``) and ``lockfiles/`` (``lock``). Out: findings about the
interpreter that runs it. ``install`` has the steps of ``env/install.sh``; ``verify`` and ``intact``
compare an environment with its lock.
"""
