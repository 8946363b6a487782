"""An answer's constraints, JSON that matches a schema or a call that must be made, checked on the whole of it.

Engines keep to a grammar, and grammars leave out what they cannot say (``uniqueItems``, say). So the answer is read
once more when it has ended: one that is no stream is refused with 5024, and a stream ends with that error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from bindings.ai.engine.deltas import DeltaIterator
from bindings.ai.engine.features import forced
from bindings.ai.engine.protocol import Delta, Generate
from bindings.ai.engines.accumulator import CUT_REASONS, AccumulatedCall, Choice, index_of
from bindings.ai.inputs import json_mode


def is_constrained(request: Generate) -> bool:
    """Whether ``request`` says what the answer must match."""
    return request.json_schema is not None or forced(request)


async def checked(deltas: DeltaIterator, request: Generate, count: int) -> AsyncGenerator[Delta, None]:
    """``deltas``; at their end, ModelError 5024 unless each of the ``count`` answers matches or was cut."""
    choices = [Choice() for _ in range(count)]
    async with aclosing(deltas):
        async for delta in deltas:
            choices[index_of(delta)].add(delta)
            yield delta
    for choice in choices:
        if choice.finish_reason not in CUT_REASONS:
            _check_choice(choice, request)


def _check_choice(choice: Choice, request: Generate) -> None:
    if forced(request):
        if not choice.calls or not all(_call_matches(call, request.tools) for call in choice.calls.values()):
            raise json_mode.unmet()
    elif request.json_schema is not None and not choice.calls:
        json_mode.parsed(choice.text, request.json_schema)


def _call_matches(call: AccumulatedCall, tools: list[dict[str, Any]]) -> bool:
    """Parameters that are no schema are matched by all arguments."""
    schemas = [tool["function"].get("parameters") for tool in tools if tool["function"]["name"] == call.name]
    return bool(schemas) and json_mode.matches(call.arguments or "{}", schemas[0] or {})


__all__ = ["checked", "is_constrained"]
