"""A fork into namespaces of its own (``sandbox.namespaces``).

Of processes, a namespace begins with the next child. So the fork is two: the one in between makes the namespaces,
forks, tells the child's id and goes, and the child becomes ours. It waits until that is so.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

from runtime.isolate.sandbox import namespaces

_PR_SET_CHILD_SUBREAPER = 36
_ID_BYTES = 4


def fork(errors: int) -> int:
    """As ``os.fork``. Where it fails, the child has ended, and ``errors``, a descriptor, has got the reason."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    told, tell = os.pipe()
    begun, begin = os.pipe()
    between = os.fork()
    if between == 0:
        os.close(begin)
        if not _fork_again(tell, errors):
            os.close(tell)
            if not os.read(begun, 1):  # the zygote is gone
                os._exit(1)
            return 0
    os.close(tell)
    os.close(begun)
    pid = int.from_bytes(os.read(told, _ID_BYTES), sys.byteorder)
    if pid:
        os.waitpid(between, 0)
        with suppress(OSError):  # it has ended already
            os.write(begin, b"1")
    os.close(told)
    os.close(begin)
    return pid or between


def _fork_again(tell: int, errors: int) -> int:
    """0, in the child; does not return in the one between."""
    try:
        namespaces.leave()
        child = os.fork()
    except OSError as error:
        os.write(errors, f"▲ no namespaces for a worker: {error.strerror}\n".encode())
        os._exit(1)
    if child:
        os.write(tell, child.to_bytes(_ID_BYTES, sys.byteorder))
        os._exit(0)
    return child


__all__ = ["fork"]
