"""Images: ``build`` makes those of ``docker/Dockerfile`` and proves that two builds are the same.

``oci`` reads what was built.
"""
