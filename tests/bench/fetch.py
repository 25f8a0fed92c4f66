"""Downloads over 1,000 PDFs from a server with faults, and prints what became of each fault.

    env/nox -s bench -- fetch [DOWNLOADS OF EACH FAULT]

The waits between attempts are counted, not slept. Nothing leaves this machine; openssl must be
installed. The exit code is 1 when a good file differs, or a bad one is not named with its reason.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from time import monotonic

import faults
from server import Server

from paperlora.pipeline.fetch import pace, web

EACH = 30


def main(each: int) -> int:
    """Print the table and return the exit code."""
    slept: list[float] = []
    web.sleep, web.log, web.TIMEOUT = slept.append, lambda _: None, (5, faults.STALL / 3)
    pace.PAUSE = pace.JITTER = 0.0
    with tempfile.TemporaryDirectory() as name, Server() as server, Server() as secure:
        os.environ["REQUESTS_CA_BUNDLE"] = str(secure.encrypt(Path(name)))
        to = Path(name) / "papers"
        to.mkdir()
        began = monotonic()
        rows = faults.trial(server, secure, to, each)
        seconds = monotonic() - began
    print(f"{'fault':32} {'downloads':>9} {'good':>6} {'named':>6} {'wrong':>6} {'requests':>9}")
    for row in rows:
        print(
            f"{row.fault:32} {row.downloads:9} {row.good:6} {row.named:6} {row.wrong:6} {row.requests:9}"
        )
    total = [
        sum(getattr(row, key) for row in rows)
        for key in ("downloads", "good", "named", "wrong", "requests")
    ]
    print("{:32} {:9} {:6} {:6} {:6} {:9}".format("all", *total))
    print(f"{seconds:.0f} s, and {sum(slept):,.0f} s of waits that were not slept")
    return int(total[3] > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else EACH))
