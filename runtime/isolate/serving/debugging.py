"""This process in an editor's debugger: see ``runtime.supervisor.debugging``."""

from __future__ import annotations

import asyncio
import os
import sys
from threading import Thread

_EDITOR_TIMEOUT_S = 10.0  # seconds that an editor may take to set its breakpoints; then it goes on without


async def attach(server: int, root: int) -> None:
    """Once the editor has set its breakpoints. ``server``: the adapter's port for us; ``root``: whose child we say that
    we are. A thread waits for it: ``debugpy.connect`` has no end of its own."""
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    import debugpy  # type: ignore[import-untyped,unused-ignore]

    loop, connected = asyncio.get_running_loop(), asyncio.Event()

    def connect() -> None:
        debugpy.connect(("127.0.0.1", server), parent_session_pid=root)
        loop.call_soon_threadsafe(connected.set)

    Thread(target=connect, name="debugpy.connect", daemon=True).start()
    try:
        async with asyncio.timeout(_EDITOR_TIMEOUT_S):
            await connected.wait()
    except TimeoutError:
        print("▲ the debugger that is attached did not come to this process", file=sys.stderr)
        return
    debugpy.trace_this_thread(True)
    sys.breakpointhook = debugpy.breakpoint


__all__ = ["attach"]
