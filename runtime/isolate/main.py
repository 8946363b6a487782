"""One isolate: one version of one worker's code, in a process of its own.

Its whole connection to the world is the channel, whose calls ``serving.isolate`` answers.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any

import msgspec
import uvloop

from runtime.errors import ScriptError
from runtime.isolate import stack
from runtime.isolate.boot import ASKS
from runtime.isolate.serving.isolate import Isolate
from runtime.isolate.serving.output import output
from runtime.wire import MAX_WORKER_FRAME, Channel

_EXIT_GRACE_S = 2.0  # from the supervisor's end to this process's


def confine(rules: dict[str, Any], channel: int) -> None:
    """Before the event loop is made: libuv would otherwise count on what is taken away. ``channel``: its descriptor,
    by which the supervisor gets what it is asked on about sockets and connections."""
    from runtime.isolate import sandbox  # dev has no use for it

    limits = msgspec.convert(rules, sandbox.Rules)
    os.environ.update(TMPDIR=limits.temp, HOME=limits.temp)
    os.chdir(limits.temp)
    asking: list[int] = []
    sandbox.enter(limits, asking.append if limits.asks else None)
    if sandbox.refuses_calls():
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sandbox.lend(limits, line)
        asking.insert(0, theirs.detach())
    with socket.socket(fileno=os.dup(channel)) as sock:
        socket.send_fds(sock, [ASKS], asking)
    for descriptor in asking:
        os.close(descriptor)


async def serve(sock: socket.socket) -> None:
    """Until the supervisor closes its end."""
    isolate = Isolate()
    isolate.channel = await Channel.open(sock, isolate, on_note=isolate.note)
    isolate.channel.max_frame = MAX_WORKER_FRAME
    await isolate.channel.closed.wait()


def reopen_output() -> None:
    """Print line by line to whatever the descriptors 1 and 2 are by then: packages that were imported before a fork
    may have kept these objects."""
    sys.stdout, sys.stderr = output(1), output(2)


def run(sock: socket.socket, stacks: int) -> None:
    """The process's life. Never returns: nothing of the worker's may hold the exit up. ``stacks``: see ``stack``."""
    # The supervisor decides when this process ends; a Ctrl-C in the terminal is for the supervisor.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reopen_output()
    stack.write_stacks_to(stacks)

    def no_terminal(*_: object, **__: object) -> None:
        raise ScriptError("breakpoint() needs a terminal", remedy="pilot dev --inline")

    if "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = no_terminal
    status = 0
    try:
        uvloop.run(serve(sock))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _exit_with_supervisor(sock: socket.socket) -> None:
    """A blocked event loop sees no socket close; a thread does. (A fork is ended by its zygote.)"""
    hang_up = select.poll()
    hang_up.register(sock.fileno(), 0)
    hang_up.poll()
    time.sleep(_EXIT_GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    channel = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=_exit_with_supervisor, args=[channel.dup()], daemon=True).start()
    if len(sys.argv) > 3:
        confine(msgspec.json.decode(sys.argv[3]), channel.fileno())
    run(channel, int(sys.argv[2]))
