"""A terminal that hands over each key as it is pressed, and is left as it was found.

Theory of operation
-------------------
Neither lines nor an echo: each key comes at once, while Ctrl-C and Ctrl-Z stay signals. A terminal belongs to the job
in the foreground, so it is changed and read there alone: a job in the background that tries is stopped by the kernel.
Ctrl-Z is caught to put the terminal right before this process stops as it was told to; what continues it takes the keys
again, once it is in the foreground: nothing tells a job that it has been brought there while it ran.

The terminal is opened anew. An event loop makes what it reads non-blocking, and standard input's description is
standard output's and the shell's as well.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_LOOK_INTERVAL_S = 0.5  # seconds between looks whether we are in the foreground, while we are not
_LOCAL_MODES = 3  # of what tcgetattr returns
_CONTROL_CHARACTERS = 6
Modes = list[Any]  # what termios calls them


class Terminal:
    """That of standard input. ``on_keys`` is given what was pressed since the last time, in an event loop."""

    def __init__(self, on_keys: Callable[[str], None]) -> None:
        self._on_keys, self._descriptor = on_keys, -1
        self._found: Modes | None = None  # its modes while they are changed
        self._look: asyncio.TimerHandle | None = None

    async def listen(self) -> None:
        """Until cancelled. At once where standard input is no terminal."""
        if (name := terminal_name()) is None:
            return
        self._descriptor = os.open(name, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        atexit.register(self.restore)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        loop.add_signal_handler(signal.SIGCONT, self._resume)
        try:
            self._take()
            await loop.create_future()
        finally:
            for number in (signal.SIGTSTP, signal.SIGCONT):
                loop.remove_signal_handler(number)
            self._release()
            atexit.unregister(self.restore)
            os.close(self._descriptor)

    def restore(self) -> None:
        """Its modes as they were; also for whoever leaves at once."""
        found, self._found = self._found, None
        if found is not None and self._in_foreground():
            with suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSANOW, found)

    def _take(self) -> None:
        self._look = None
        if not self._in_foreground():
            self._look = asyncio.get_running_loop().call_later(_LOOK_INTERVAL_S, self._take)
            return
        self._found = self._found or termios.tcgetattr(self._descriptor)
        termios.tcsetattr(self._descriptor, termios.TCSANOW, _keywise(termios.tcgetattr(self._descriptor)))
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def _release(self) -> None:
        if self._look is not None:
            self._look.cancel()
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self.restore()

    def _suspend(self) -> None:
        """Stops this process, as Ctrl-Z does where nobody catches it."""
        self._release()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)

    def _resume(self) -> None:
        self._release()  # it may have been stopped without a word, by SIGSTOP
        asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, self._suspend)
        self._take()

    def _read(self) -> None:
        if not self._in_foreground():
            self._release()
            self._take()
            return
        try:
            pressed = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return
        except OSError:
            pressed = b""
        if pressed:
            self._on_keys(pressed.decode("utf-8", "replace"))
        else:  # it was closed, and nohup keeps us
            asyncio.get_running_loop().remove_reader(self._descriptor)

    def _in_foreground(self) -> bool:
        with suppress(OSError):
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        return False


def terminal_name() -> str | None:
    """A path to the terminal that standard input is."""
    with suppress(OSError, ValueError):
        return os.ttyname(sys.stdin.fileno())
    return None


def _keywise(modes: Modes) -> Modes:
    modes[_LOCAL_MODES] &= ~(termios.ECHO | termios.ICANON)
    modes[_CONTROL_CHARACTERS][termios.VMIN], modes[_CONTROL_CHARACTERS][termios.VTIME] = 1, 0
    return modes


__all__ = ["Terminal", "terminal_name"]
