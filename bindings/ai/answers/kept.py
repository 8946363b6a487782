"""What an answer was bound to, JSON that matches a schema or a call that must be made, held against the whole of it.

Engines keep to a grammar, and grammars leave out what they cannot say (``uniqueItems``, say). So the answer is read
once more when it has ended: one that is no stream is refused with 5024, and a stream ends with that error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from bindings.ai.engine.accumulator import CUT, AccumulatedCall, Choice, index_of
from bindings.ai.engine.features import forced
from bindings.ai.engine.protocol import Delta, Generate
from bindings.ai.inputs import json_mode


def binds(asked: Generate) -> bool:
    """Whether ``asked`` has anything to be kept to."""
    return asked.json_schema is not None or forced(asked)


async def checked(deltas: Any, asked: Generate, answers: int) -> AsyncGenerator[Delta, None]:
    """``deltas``; at their end, AiError 5024 unless each of the answers is as asked or was cut."""
    choices = [Choice() for _ in range(answers)]
    async with aclosing(deltas):
        async for delta in deltas:
            choices[index_of(delta)].add(delta)
            yield delta
    for choice in choices:
        if choice.finish_reason not in CUT:
            _check(choice, asked)


def _check(choice: Choice, asked: Generate) -> None:
    if forced(asked):
        if not choice.calls or not all(_fits(call, asked.tools) for call in choice.calls.values()):
            raise json_mode.unmet()
    elif asked.json_schema is not None and not choice.calls:
        json_mode.value(choice.text, asked.json_schema)


def _fits(call: AccumulatedCall, tools: list[dict[str, Any]]) -> bool:
    """Parameters that are no schema bind nobody."""
    schemas = [tool["function"].get("parameters") for tool in tools if tool["function"]["name"] == call.name]
    return bool(schemas) and json_mode.matches(call.arguments or "{}", schemas[0] or {})


__all__ = ["binds", "checked"]
