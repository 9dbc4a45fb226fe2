"""``python -m tests.hostile.worker CORPUS SEED``: takes numbers on stdin, gives pickled trials on stdout.

The address space is limited, so that one file cannot take the machine with it.
"""

from __future__ import annotations

import os
import pickle
import resource
import struct
import sys
import warnings
from pathlib import Path

HEADROOM = (
    3 << 30
)  # of address space above what is mapped at start: threads and libraries map more than they use


def main(corpus_file: str, seed: str) -> None:
    """Serve until stdin ends."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not fall between the answers
    warnings.simplefilter("ignore")
    import logging

    logging.disable(logging.CRITICAL)
    from tests.hostile.trial import try_number

    corpus = pickle.loads(Path(corpus_file).read_bytes())
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + HEADROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        answer = pickle.dumps(try_number(corpus, int(seed), int(line)))
        answers.write(struct.pack("<L", len(answer)) + answer)
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
