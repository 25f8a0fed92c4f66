"""What an environment should hold, what it holds, and whether the two agree.

``cli`` has the commands. ``core`` is what an install needs, ``locks`` makes and checks the locks,
``colab`` compares with Colab, ``host`` looks at this machine, ``image`` builds the images. It never
imports the pipeline.
"""
