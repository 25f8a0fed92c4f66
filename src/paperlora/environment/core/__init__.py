"""What an install needs: standard library only, since it runs before anything is installed.

``target`` and ``runtime`` read ``env/``, ``lock`` reads ``lockfiles/``; ``install`` answers
``env/install.sh``; ``verify`` and ``intact`` hold an environment against its lock.
"""
