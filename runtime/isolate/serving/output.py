"""What the script prints, each line with the number of the event that it is printed for, where there is one.

The supervisor reads the lines of all events from one pipe; by the number it knows whose each is. A script that writes
the marks itself deceives itself alone: numbers are looked up among its worker's.
"""

from __future__ import annotations

import io
from typing import cast

from runtime.isolate.boot import LINE_MARKS
from runtime.isolate.remote import current_event

_write = io.TextIOWrapper.write


class Output(io.TextIOWrapper):
    """Standard output, or standard error, of an isolate."""

    _begun = False  # a line that has not ended

    def write(self, text: str) -> int:
        if not text or (text == "\n" and self._begun):  # as print ends a line
            self._begun = self._begun and not text
            return _write(self, text)
        event, ends = current_event.get(), text[-1] == "\n"
        if event:
            before, after = LINE_MARKS
            mark = f"{before}{event}{after}"
            lines = text[:-1].replace("\n", f"\n{mark}") + text[-1]
            _write(self, lines if self._begun else mark + lines)
        else:
            _write(self, text)
        self._begun = not ends
        return len(text)


def output(descriptor: int) -> Output:
    """Line by line to whatever the descriptor is by then."""
    buffer = cast(io.BytesIO, open(descriptor, "wb", closefd=False))  # noqa: SIM115
    return Output(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)


__all__ = ["Output", "output"]
