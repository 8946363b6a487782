"""Workers AI's own answer: the classic result and its stream (docs/reference/workers-ai.md#answers, #streams)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bindings.ai.answers import sse
from bindings.ai.engine.protocol import Delta, Extra
from bindings.ai.engines.accumulator import AccumulatedCall, Choice, Usage, reason
from bindings.ai.inputs import json_mode

NO_EXTRA = Extra()
CONTENT_FILTER = "content_filter"


class WorkersAIEncoder:
    """``bindings.ai.answers.encoders.Encoder``."""

    def __init__(self, schema: dict[str, Any] | None, *, padding: bool) -> None:
        self._schema, self._called = schema, False
        self.encode_text = sse.padded_token if padding else sse.token
        self._event = sse.padded_event if padding else sse.event

    def begin(self) -> bytes:
        return b""

    def encode_delta(self, delta: Delta) -> bytes:
        extra, events = delta.extra or NO_EXTRA, b""
        if extra.reasoning:
            events += self._event({"response": "", "reasoning_content": extra.reasoning})
        if delta.text:
            events += self.encode_text(delta.text)
        if extra.tool_calls:
            self._called = True
            events += self._event({"tool_calls": extra.tool_calls})
        if finish_reason := _finish_reason(delta.finish_reason, called=self._called):
            events += self._event({"finish_reason": finish_reason})
        return events

    def end(self, usage: Usage) -> bytes:
        return sse.last(classic_usage(usage))

    def failure(self, envelope: dict[str, Any], status: int) -> bytes:
        return sse.failure(envelope)

    def result(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        """The result, key order as the service writes it. Raises ModelError 5024."""
        [choice] = choices
        reasoning = {"reasoning_content": choice.reasoning} if choice.reasoning else {}
        calls = [_flat(call) for call in choice.calls.values()]
        filtered = {"finish_reason": CONTENT_FILTER} if choice.finish_reason == CONTENT_FILTER else {}
        return {
            "response": self._response(choice),
            **reasoning,
            "tool_calls": calls,
            **filtered,
            "usage": classic_usage(usage),
        }

    def _response(self, choice: Choice) -> object:
        text = choice.text
        if choice.finish_reason == CONTENT_FILTER:  # what there is of it
            return text
        if choice.calls:
            return text if text.strip() else None
        return text if self._schema is None else json_mode.parsed(text, self._schema)


def classic_usage(usage: Usage) -> dict[str, Any]:
    """With the details only where there are some: the service's older answers have none."""
    details = {"prompt_tokens_details": {"cached_tokens": usage.cached}} if usage.cached else {}
    return {**usage.counts(), **details}


def _finish_reason(finish_reason: str | None, *, called: bool) -> str:
    """The reason, where the classic form has it: the service's own answers tell no other."""
    if finish_reason == CONTENT_FILTER:
        return CONTENT_FILTER
    return reason(finish_reason, called) if finish_reason is not None and called else ""


def _flat(call: AccumulatedCall) -> dict[str, Any]:
    """The arguments as an object, or as they are if the model stopped half-way through them."""
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
    except msgspec.DecodeError:
        arguments = call.arguments
    return {"name": call.name, "arguments": arguments, **call.more}


__all__ = ["WorkersAIEncoder"]
