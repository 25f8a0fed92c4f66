"""From papers to a tuned adapter and a report: one folder for each part of the way.

``cli`` has the commands. ``chain`` says which command reads which settings, and runs those that build on one
another; ``inputs`` has the files that they read, ``freshness`` remembers what is done. ``run`` keeps the
settings of a run; ``config`` is what a user can set. The folders, in their order: ``fetch``, ``parse``,
``dataset``, (``model``), ``train``, ``evaluate``, ``report``. None imports one that comes after it.
"""

import logging

# bitsandbytes looks for kernels on a hub as it is imported and says that it found none. None is
# wanted: that code would be in no lock. This line is here so that it comes before any import of it.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
