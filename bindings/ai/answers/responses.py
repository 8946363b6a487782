"""The Responses API's answer: a list of items, and the stream of events that builds it.

Facts: docs/reference/workers-ai.md#openais-api.

An item is reasoning, a message or a function call. A stream opens one, fills it and closes it before the next:

    response.created, response.in_progress
    response.output_item.added, response.content_part.added
    response.output_text.delta …
    response.output_text.done, response.content_part.done, response.output_item.done
    response.completed

It ends so too where the limit cut it (``status`` says ``incomplete``): OpenAI's helpers wait for no other event.
Each has OpenAI's ``event:`` line and a ``sequence_number``.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from bindings.ai.answers import openai_errors, sse
from bindings.ai.answers.response_items import FunctionCallItem, Item, MessageItem, ReasoningItem
from bindings.ai.catalog.models import Model
from bindings.ai.engine.protocol import Delta, Extra
from bindings.ai.engines.accumulator import AccumulatedCall, Choice, Usage
from bindings.ai.inputs.text import TextRequest

NO_EXTRA = Extra()
INCOMPLETE_REASONS = {  # finish reason → OpenAI's "incomplete_details"
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
REQUEST_DEFAULTS: dict[str, Any] = {  # what a response repeats of its request, where that has none
    "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True,
    "previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "service_tier": "default",
    "store": False, "temperature": None, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_logprobs": 0, "top_p": None, "truncation": "disabled", "user": None,
}  # fmt: skip
TEXT_DELTA = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":'
_encode = msgspec.json.Encoder().encode


class ResponsesEncoder:
    """``bindings.ai.answers.encoders.Encoder``."""

    def __init__(self, request: TextRequest, model: Model) -> None:
        self._request, self._model = request, model
        self._id, self._created = f"resp_{uuid.uuid4().hex}", int(time.time())
        self._items: list[Item] = []
        self._sequence_number, self._finish_reason = 0, "stop"

    def begin(self) -> bytes:
        started = self._response("in_progress")
        events = [
            self._event("response.created", response=started),
            self._event("response.in_progress", response=started),
        ]
        return b"".join(events)

    def encode_text(self, text: str) -> bytes:
        """The most frequent event, put together from parts that were encoded once."""
        opened, item = self._open(MessageItem), self._items[-1]
        item.texts.append(text)
        self._sequence_number += 1
        return b"%b%b%d%b%b%b" % (
            opened,
            TEXT_DELTA,
            self._sequence_number - 1,
            item.delta_head,
            _encode(text),
            b',"logprobs":[]}\n\n',
        )

    def encode_delta(self, delta: Delta) -> bytes:
        extra, events = delta.extra or NO_EXTRA, b""
        if extra.reasoning:
            events += self._open(ReasoningItem) + self._events(self._items[-1].add(extra.reasoning))
        if delta.text or extra.logprobs:
            events += self._open(MessageItem) + self._events(self._items[-1].add(delta.text, extra.logprobs))
        for piece in extra.tool_calls:
            events += self._call(piece)
        self._finish_reason = delta.finish_reason or self._finish_reason
        return events

    def end(self, usage: Usage) -> bytes:
        """An answer without any item has an empty message."""
        opened = b"" if self._items else self._open(MessageItem)
        _mark_incomplete(self._items, self._finish_reason)
        whole = self._response(*_status(self._finish_reason), output=[item.done() for item in self._items], usage=usage)
        return opened + self._close() + self._event("response.completed", response=whole) + sse.DONE

    def failure(self, envelope: dict[str, Any], status: int) -> bytes:
        """The failed response; and the error by itself, which is what OpenAI's helpers raise."""
        error = openai_errors.error_object(envelope, status)
        response = self._response("failed", output=[item.done() for item in self._items])
        response["error"] = {"code": "server_error", "message": error["message"]}
        return self._event("response.failed", response=response) + self._error(error)

    def _error(self, error: dict[str, Any]) -> bytes:
        return self._event("error", code=error["code"], message=error["message"], param=error["param"], error=error)

    def result(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        [choice] = choices
        items = _items(choice)
        _mark_incomplete(items, choice.finish_reason)
        output = [item.done() for item in items]
        return self._response(*_status(choice.finish_reason), output=output, usage=usage)

    def _call(self, piece: dict[str, Any]) -> bytes:
        """A tool call's first piece has its id; later ones have more of its arguments."""
        call = AccumulatedCall()
        call.add(piece)
        opened = self._start(FunctionCallItem(call)) if call.id else self._open(FunctionCallItem)
        return opened + self._events(self._items[-1].add(call.arguments))

    def _open(self, kind: type[Item]) -> bytes:
        """The events it takes until the last item is of this kind."""
        return b"" if self._items and type(self._items[-1]) is kind else self._start(kind())

    def _start(self, item: Item) -> bytes:
        closed, item.output_index = self._close(), len(self._items)
        item.delta_head = b',"item_id":%b,"output_index":%d,"content_index":0,"delta":' % (
            _encode(item.id),
            item.output_index,
        )
        self._items.append(item)
        return closed + self._events(item.opening())

    def _close(self) -> bytes:
        return self._events(self._items[-1].closing()) if self._items else b""

    def _events(self, events: list[dict[str, Any]]) -> bytes:
        return b"".join(self._event(**event) for event in events)

    def _event(self, type: str, **fields: Any) -> bytes:
        self._sequence_number += 1
        event = {"type": type, "sequence_number": self._sequence_number - 1, **fields}
        return b"event: %b\ndata: %b\n\n" % (type.encode(), _encode(event))

    def _response(
        self,
        status: str,
        incomplete: dict[str, str] | None = None,
        *,
        output: Sequence[Any] = (),
        usage: Usage | None = None,
    ) -> dict[str, Any]:
        fields = self._request.body
        repeated = {name: fields.get(name, value) for name, value in REQUEST_DEFAULTS.items()}
        sampling = self._request.generate
        return {
            "id": self._id, "object": "response", "created_at": self._created, "status": status, "background": False,
            "error": None, "incomplete_details": incomplete, "model": self._model.id, "output": list(output),
            **repeated, "max_output_tokens": None if sampling.fill else sampling.max_tokens,
            "temperature": sampling.temperature,
            "usage": None if usage is None else _usage(usage),
        }  # fmt: skip


def _items(choice: Choice) -> list[Item]:
    """What a whole answer consists of."""
    items: list[Item] = []
    if choice.reasoning:
        items.append(ReasoningItem(choice.reasoning))
    if choice.text or not choice.calls:
        items.append(MessageItem(choice.text, choice.logprobs))
    return [*items, *(FunctionCallItem(call) for call in choice.calls.values())]


def _mark_incomplete(items: list[Item], finish_reason: str) -> None:
    """The last item is not whole where the answer was cut."""
    if finish_reason in INCOMPLETE_REASONS:
        items[-1].status = "incomplete"


def _status(finish_reason: str) -> tuple[str, dict[str, str] | None]:
    reason = INCOMPLETE_REASONS.get(finish_reason)
    return ("incomplete", {"reason": reason}) if reason else ("completed", None)


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt, "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.completion, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt + usage.completion,
    }  # fmt: skip


__all__ = ["ResponsesEncoder"]
