"""What the ``echo`` engine is told to say: rules that a test writes into the file which PILOT_ECHO_ANSWERS names."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

FILE = "PILOT_ECHO_ANSWERS"


class Rule(msgspec.Struct, frozen=True):
    """A line of the file. ``when``: what the last message of a prompt must hold; with ``tool`` it is called, where one
    of that name is offered, instead of anything being said."""

    when: str = ""
    text: str = ""
    tool: str = ""
    arguments: dict[str, Any] = {}


_decode = msgspec.json.Decoder(Rule).decode


def is_there() -> bool:
    return FILE in os.environ


def rule_for(prompt: str, tools: Collection[str]) -> Rule | None:
    """The newest that fits."""
    if not is_there():
        return None
    rules = [_decode(line) for line in Path(os.environ[FILE]).read_bytes().splitlines()]
    fitting = (rule for rule in reversed(rules) if rule.when in prompt and (not rule.tool or rule.tool in tools))
    return next(fitting, None)


__all__ = ["Rule", "is_there", "rule_for"]
