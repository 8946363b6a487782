"""The zygote: single-threaded, everything imported once; an isolate is a fork of it.

It reads messages from the supervisor on a Unix socket (length + msgpack, descriptors beside it):

* ``["fork", number, the sandbox's rules or None]`` with four descriptors (channel, stdout, stderr, stacks)
  → ``["forked", number, pid]``
* ``["preload", paths, alone, modules]``: import third-party modules, found in ``paths`` too, while nothing else is to
  be done; ``alone`` hides this interpreter's own from then on. ``modules`` are (name, whether it is known to start no
  thread) → ``["unsafe", name]`` for one that does, which is left to the isolates
* an isolate's end → ``["exited", pid, status]``; a negative status is the signal that killed it

No event loop and no thread may exist here: a fork copies neither.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from typing import Any, NoReturn

from runtime.isolate import control as zygote_control
from runtime.isolate import main as isolate_main
from runtime.isolate import stack
from runtime.isolate.script import hidden, loader
from runtime.memory import freeze_heap
from runtime.processes import kill_group, thread_count

_PRELOAD_TIMEOUT_S = 10.0  # an import may take before it is left to the isolates
_PR_SET_PDEATHSIG = 1
_OUT_OF_SIGHT = 0  # a parent in another namespace
_children: set[int] = set()
_wanted: deque[tuple[str, bool]] = deque()  # modules that are to be imported


def serve(control: socket.socket) -> NoReturn:
    """Until the supervisor goes; then every isolate goes too, blocked or not."""
    import workers  # noqa: F401  (the SDK, under the name a worker imports it by)

    isolate_main.reopen_output()
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stack.ignore_signals()
    signal.set_wakeup_fd(woken)
    freeze_heap()
    while True:
        ready, _, _ = select.select([control.fileno(), wake], [], [], 0 if _wanted else None)
        if not ready:
            _import_next(control)
        if wake in ready:
            os.read(wake, 4096)
            _reap(control)
        if control.fileno() in ready:
            message, descriptors = zygote_control.receive(control)
            if message is None:
                _exit()
            _handle_message(control, message, descriptors)


def _handle_message(control: socket.socket, message: list[Any], descriptors: list[int]) -> None:
    if message[0] == "fork":
        zygote, pid = os.getpid(), _fork(message[2], descriptors[2])
        if pid == 0:
            _become_isolate(zygote, control, descriptors, message[2])
        with contextlib.suppress(OSError):  # it may be at its end already
            os.setpgid(pid, pid)  # here as well: whoever hears of it may end its group at once
        _children.add(pid)
        _send(control, ["forked", message[1], pid])
        for descriptor in descriptors:
            os.close(descriptor)
    elif message[0] == "preload":
        _preload(*message[1:])


def _fork(rules: dict[str, Any] | None, errors: int) -> int:
    if rules is None:
        return os.fork()
    from runtime.isolate import apart, sandbox  # noqa: F401  (once, for all that are shut in)

    return apart.fork(errors) if rules.get("apart") else os.fork()


def _become_isolate(
    zygote: int, control: socket.socket, descriptors: list[int], rules: dict[str, Any] | None
) -> NoReturn:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _children.clear()
    os.setpgid(0, 0)  # what the worker starts ends with it
    channel, out, err, stacks = descriptors
    os.dup2(out, 1)
    os.dup2(err, 2)
    control.close()
    _close_others(channel, stacks)
    if rules is not None:
        _end_with(zygote)
        isolate_main.confine(rules, channel)
    isolate_main.run(socket.socket(fileno=channel), stacks)
    os._exit(1)


def _end_with(zygote: int) -> None:
    """Also where supervisor and zygote are killed at once, and this one's event loop is blocked."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() not in (zygote, _OUT_OF_SIGHT):
        os._exit(1)


def _close_others(*kept: int) -> None:
    """What the zygote, or a package it has imported, holds open is nothing to the worker."""
    begin = 3
    for descriptor in sorted(kept):
        if descriptor > begin:  # an empty range would be all of them
            os.closerange(begin, descriptor)
        begin = descriptor + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))


def _preload(paths: list[str], alone: bool, modules: list[tuple[str, bool]]) -> None:
    if alone:
        hidden.hide([loader.SDK, *paths])
    sys.path[:] = [*(path for path in [loader.SDK, *paths] if path not in sys.path), *sys.path]
    _wanted.extend((name, safe) for name, safe in modules if name not in sys.modules)


def _import_next(control: socket.socket) -> None:
    name, safe = _wanted.popleft()
    verdict = True if safe or name in sys.modules or loader.is_runtime(name) else _is_safe(control, name)
    if verdict is None:
        _wanted.appendleft((name, safe))
    elif verdict:
        _import(name)
    else:
        _send(control, ["unsafe", name])
    if not _wanted:
        gc.freeze()


def _import(name: str) -> None:
    """Quietly: what it prints or raises, the worker has said or will say, and better."""
    kept, nowhere = (os.dup(1), os.dup(2)), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with contextlib.suppress(BaseException):
        importlib.import_module(name)
    os.dup2(kept[0], 1)
    os.dup2(kept[1], 2)
    for descriptor in (*kept, nowhere):
        os.close(descriptor)


def _is_safe(control: socket.socket, name: str) -> bool | None:
    """Tried in a fork: a thread that an import has started cannot be taken back, and the isolates live on here. None:
    the try gave way to what the supervisor wants next, or to its end."""
    pid = os.fork()
    if pid == 0:
        _import(name)
        os._exit(thread_count() > 1)
    ended, until, wanted = (0, 0), time.monotonic() + _PRELOAD_TIMEOUT_S, False
    while ended[0] == 0 and time.monotonic() < until and not wanted:
        wanted = bool(select.select([control], [], [], 0.01)[0])
        ended = os.waitpid(pid, os.WNOHANG)
    if ended[0] == 0:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return None if wanted else False
    return ended[1] == 0


def _reap(control: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            pid = ended.si_pid
            kill_group(pid)  # while its number is still its own
            _, status = os.waitpid(pid, 0)
            _children.discard(pid)
            _send(control, ["exited", pid, os.waitstatus_to_exitcode(status)])


def _send(control: socket.socket, message: list[Any]) -> None:
    with contextlib.suppress(OSError):
        zygote_control.send(control, message)


def _exit() -> NoReturn:
    for pid in _children:
        kill_group(pid)
    os._exit(0)


if __name__ == "__main__":
    sys.path.insert(0, loader.SDK)
    serve(socket.socket(fileno=int(sys.argv[1])))
