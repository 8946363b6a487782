"""What a worker or a stranger wrote, fit for a terminal or a log: control characters are written out.

A terminal obeys them: they could hide what was said, pretend that something else was, or type an answer.
"""

from __future__ import annotations

import re

# C0, DEL and C1; the ends of lines that Unicode knows beside them; what turns the direction of text around.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_OF_SEVERAL_LINES = re.compile(r"[^\n\t]+")
_COLOUR = re.compile(r"(\x1b\[[0-9;:]{0,40}m)")  # Select Graphic Rendition: ECMA-48, section 8.3.117
_RESET = "\x1b[0m"
_IN_JSON = re.compile(r"[\x7f-\x9f]")  # an encoder writes out what is below these


def clean(text: str) -> str:
    """One line."""
    return text if text.isascii() and text.isprintable() else _CONTROL.sub(_written_out, text)


def clean_lines(text: str) -> str:
    """A text of several lines: an exception may quote what a stranger sent."""
    return _OF_SEVERAL_LINES.sub(lambda found: clean(found[0]), text)


def clean_output(line: str) -> str:
    """A line that a person's own worker printed: its colours stay, and end with it; of a line that was written over and
    over, as a progress bar is, the last."""
    parts = _COLOUR.split(line.rstrip("\r").rpartition("\r")[2].replace("\t", "        "))
    if len(parts) == 1:
        return clean(parts[0])
    shown = "".join(part if at % 2 else clean(part) for at, part in enumerate(parts))
    return shown if parts[-2] in (_RESET, "\x1b[m") and not parts[-1] else shown + _RESET


def clean_json(text: str) -> str:
    """A JSON document."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _written_out(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


__all__ = ["clean", "clean_json", "clean_lines", "clean_output"]
