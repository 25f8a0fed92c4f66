"""Pinned environments: what each one should hold, what it holds, and how the two differ.

``cli`` has the commands. ``core`` runs before any package is installed; ``locks`` makes and checks the
locks; ``colab`` compares with Colab; ``host`` examines this machine; ``image`` builds the images. Nothing
here imports the pipeline.
"""
