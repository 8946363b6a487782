"""Writing to a stream that may go away, or that nobody reads."""

from __future__ import annotations

import atexit
import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

MAX_PENDING_BYTES = 16 * 1024 * 1024  # bytes that may wait for a slow reader
FLUSH_TIMEOUT_S = 1.0  # seconds the rest may take when everything ends


def lost_lines(count: int) -> str:
    return f"… {count} lines were dropped: nobody was reading\n"


class Output:
    """Whole lines to ``stream``, in order: at once where that cannot wait, otherwise by a thread of its own.

    No reader ever holds the server up.
    A reader who has left silences it. One who is too slow misses lines, and is told how many
    (``lost(count)`` is that line). Text that the stream's encoding lacks is written as escapes.
    """

    def __init__(self, stream: TextIO, lost: Callable[[int], str] = lost_lines) -> None:
        self._stream, self._lost, self.broken = stream, lost, False
        self.encoding = getattr(stream, "encoding", None) or "utf-8"  # rich asks
        self._descriptor, self._instant = _kind(stream)
        self._waiting: deque[bytes] = deque()
        self._size = self._dropped = 0
        self._writing = False
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def flush(self) -> None:
        """Nothing to do: the thread writes as soon as it can."""

    def write(self, text: str) -> None:
        data = text.encode(self.encoding, "backslashreplace")
        with self._change:
            if self.broken:
                return
            if not self._waiting and not self._writing and self._fits(data):
                return self._put(data)
            # After a gap everything waits for its notice, so that the order stays true.
            if self._dropped or (self._waiting and self._size + len(data) > MAX_PENDING_BYTES):
                self._dropped += text.count("\n")
                return
            self._waiting.append(data)
            self._size += len(data)
            self._change.notify_all()
            if self._thread is None:
                self._begin()

    def close(self) -> None:
        """Write what waits, within ``FLUSH_TIMEOUT_S``."""
        with self._change:
            if not self._change.wait_for(lambda: not (self._waiting or self._writing), FLUSH_TIMEOUT_S):
                self.broken = True
        atexit.unregister(self.close)

    def _begin(self) -> None:
        atexit.register(self.close)
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self.broken:
            self._put(self._next())
            with self._change:
                self._writing = False
                self._change.notify_all()

    def _next(self) -> bytes:
        """Everything that waits, and a word on what could not."""
        with self._change:
            self._change.wait_for(lambda: self._waiting)
            notice = self._lost(self._dropped) if self._dropped else ""
            data = b"".join(self._waiting) + notice.encode(self.encoding, "backslashreplace")
            self._waiting.clear()
            self._size = self._dropped = 0
            self._writing = True
            return data

    def _fits(self, data: bytes) -> bool:
        """A pipe that can be written to has room for this much (pipe(7)); of a terminal nobody knows."""
        if self._descriptor is None:
            return True
        return self._instant and len(data) <= select.PIPE_BUF and bool(select.select([], [self._descriptor], [], 0)[1])

    def _put(self, data: bytes) -> None:
        """Past the stream's buffer: a lock held in there would break the interpreter's exit."""
        try:
            if self._descriptor is None:
                self._stream.write(data.decode(self.encoding))
                return
            while data:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except BlockingIOError:  # somebody made the pipe non-blocking
                    select.select([], [self._descriptor], [])
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        """Point the descriptor at /dev/null, or the interpreter's own flush at exit fails once more."""
        with self._change:
            self.broken = True
            self._waiting.clear()
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        except (OSError, ValueError):
            pass


def _kind(stream: TextIO) -> tuple[int | None, bool]:
    """Its descriptor, None if it has none; whether it is a file or a pipe."""
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return None, True
    return descriptor, stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def same_file(one: TextIO, other: TextIO) -> bool:
    """Whether both lead to one terminal or file, where the order between them shows."""
    try:
        return os.path.sameopenfile(one.fileno(), other.fileno())
    except (OSError, ValueError):
        return False
