"""On a process's PYTHONPATH: counts the calls of Python functions, and of C's from Python, that its main thread makes.

The counts lie in files of eight bytes in ``COUNTED_CALLS``, named by what the process is and its pid, so that a reader
need not ask the process, which would cost it calls.
"""

import mmap
import os
import struct
import sys
from types import FrameType

_ROLES = {"runtime.cli": "supervisor", "runtime.isolate.zygote": "zygote", "bindings.ai.engine.server": "engine"}
_COUNTED = ("call", "c_call")


def _begin(role: str) -> None:
    path = os.path.join(os.environ["COUNTED_CALLS"], f"{role}-{os.getpid()}")
    with open(path, "w+b") as file:
        file.truncate(8)
        shown = mmap.mmap(file.fileno(), 8)
    number, put = 0, struct.Struct("=Q").pack_into

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal number
        if event in _COUNTED:
            number += 1
            put(shown, 0, number)

    sys.setprofile(count)


_role = next((role for module, role in _ROLES.items() if module in sys.orig_argv), None)
if _role is not None:
    _begin(_role)
    if _role == "zygote":
        os.register_at_fork(after_in_child=lambda: _begin("isolate"))
