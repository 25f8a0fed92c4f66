"""Images. In: ``docker/``, ``env/``, ``lockfiles/`` and ``src/``. Out: images in a Docker Engine.

``build`` makes them, checks their sizes and compares two builds; ``oci`` reads a built image.
"""
