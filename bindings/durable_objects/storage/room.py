"""Room in a file's log before it is needed.

What is written over bytes that are there already is on the disk after one write to it. A file that grows needs its file
system's journal for that, which takes twice as long, and thirty times where others keep the disk busy. So the log is
made longer ahead, by zeros, which SQLite takes for its end: no frame has a page 0.
"""

from __future__ import annotations

import os

_HEAD_BYTES, _FRAME_HEAD_BYTES = 32, 24  # https://www.sqlite.org/fileformat2.html#walformat
_COMMIT_PAGES = 8  # of most commits
_MOST_BYTES = 1024 * 1024  # at a time; before, as much as there is


class LogRoom:
    """Of the log at ``path``, of pages of ``page_bytes``."""

    def __init__(self, path: str, page_bytes: int) -> None:
        self._path, self._frame_bytes = path, _FRAME_HEAD_BYTES + page_bytes
        self._bytes = 0  # of the file, as far as is known

    def make(self, pages: int) -> None:
        """For one more commit, where the log has so many pages. Whoever calls has SQLite's write lock, so that nobody
        else appends. An empty log is left as it is: many an object writes once. Raises OSError."""
        needed = _HEAD_BYTES + (pages + _COMMIT_PAGES) * self._frame_bytes
        if not pages or needed <= self._bytes:
            return
        log = os.open(self._path, os.O_RDWR)
        try:
            self._bytes = os.fstat(log).st_size
            if needed > self._bytes:
                more = max(needed - self._bytes, min(self._bytes, _MOST_BYTES))
                self._bytes += os.pwrite(log, bytes(more), self._bytes)
        finally:
            os.close(log)


__all__ = ["LogRoom"]
