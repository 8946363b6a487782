"""TOML that a person or a stranger wrote, looked at before it is parsed: a dotted key is a table in a table for each of
its parts, and ``tomllib`` takes a gigabyte and a half for twenty thousand of them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

MAX_KEY_PARTS = 64
MAX_CHARACTERS = 1_000_000
_TEXTS = re.compile(r""""{3}[\s\S]*?"{3}|\'{3}[\s\S]*?\'{3}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*""")  # and comments
_LINE_ENDS = re.compile(r"[^\n]+")


def loads(text: str, most: int = MAX_CHARACTERS) -> dict[str, Any]:
    """As ``tomllib.loads``. Raises its errors, and ValueError, in the same words, for what is too much of anything:
    ``most`` characters, for one."""
    if len(text) > most:
        raise ValueError(f"More than {most:,} characters")
    bare = _TEXTS.sub(lambda found: _LINE_ENDS.sub("", found[0]), text)
    for number, line in enumerate(bare.split("\n"), 1):
        if line.count(".") >= MAX_KEY_PARTS and any(
            part.count(".") >= MAX_KEY_PARTS for part in re.split(r"[=,{}\[\]]", line)
        ):
            raise ValueError(f"A key of more than {MAX_KEY_PARTS} parts (at line {number}, column 1)")
    return tomllib.loads(text)


__all__ = ["MAX_CHARACTERS", "MAX_KEY_PARTS", "loads"]
