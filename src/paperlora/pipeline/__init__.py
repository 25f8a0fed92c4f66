"""From papers to a tuned adapter and a report: one module per command."""

import logging

# bitsandbytes looks for kernels on a hub as it is imported and says that it found none. None is
# wanted: they would be code that no lock knows. Here, so that it comes before any import of it.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
