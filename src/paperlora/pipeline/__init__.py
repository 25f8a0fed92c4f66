"""From papers to a tuned adapter and a report: one folder for each part of the way.

``cli`` has the commands, ``chain`` runs those that build on one another, ``freshness`` says what is
done already, ``config`` is what a user can set. The folders in their order: ``fetch``, ``parse``,
``dataset``, (``model``), ``train``, ``evaluate``, ``report``. None imports one that comes after it.
"""

import logging

# bitsandbytes looks for kernels on a hub as it is imported and says that it found none. None is
# wanted: they would be code that no lock knows. Here, so that it comes before any import of it.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
