"""Anthropic's message: a list of blocks, and the stream of events that builds it.

    message_start, ping
    content_block_start, content_block_delta …, content_block_stop     for each block, one after the other
    message_delta, message_stop                                        why it stopped, and the tokens

A block is a thought (where the request shows them), text, or the use of a tool. Each event has its ``event:`` line.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bindings.ai.answers.message_errors import error_type
from bindings.ai.catalog.models import Model
from bindings.ai.engine.protocol import Delta, Extra
from bindings.ai.engines.accumulator import AccumulatedCall, Choice, Usage
from bindings.ai.inputs.messages import shows_thinking
from bindings.ai.inputs.text import TextRequest

NO_EXTRA = Extra()
STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "stop": "end_turn", "content_filter": "refusal"}
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
DELTA_HEAD = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
TEXT_DELTA = b'%b{"type":"text_delta","text":%b}}\n\n'
_encode = msgspec.json.Encoder().encode


class MessagesEncoder:
    """``bindings.ai.answers.encoders.Encoder``."""

    def __init__(self, request: TextRequest, model: Model) -> None:
        self._request, self._model, self._shows_thinking = request, model, shows_thinking(request.body)
        self._id = f"msg_{uuid.uuid4().hex}"
        self._open, self._index, self._delta_head = "", -1, b""  # the open block: its type, its place
        self._started, self._tool_used, self._finish_reason, self._stop_sequence = False, False, "stop", ""

    def begin(self) -> bytes:
        """Nothing yet: the first event has the prompt's tokens."""
        return b""

    def encode_text(self, text: str) -> bytes:
        opened = b"" if self._open == "text" else self._start("text", {"type": "text", "text": ""})
        return opened + TEXT_DELTA % (self._delta_head, _encode(text))

    def encode_delta(self, delta: Delta) -> bytes:
        extra = delta.extra or NO_EXTRA
        events = b"" if self._started else self._message_start(Usage(delta.prompt_tokens, 0, extra.cached_tokens))
        if extra.reasoning and self._shows_thinking:
            events += self._thinking(extra.reasoning)
        if delta.text:
            events += self.encode_text(delta.text)
        for piece in extra.tool_calls:
            events += self._tool_use(piece)
        self._finish_reason = delta.finish_reason or self._finish_reason
        self._stop_sequence = extra.stop_sequence or self._stop_sequence
        return events

    def end(self, usage: Usage) -> bytes:
        message_delta = {
            "type": "message_delta",
            "delta": self._stop_fields(self._finish_reason, self._tool_used, self._stop_sequence),
            "usage": usage_fields(usage),
        }
        return self._close() + _event(message_delta) + _event({"type": "message_stop"})

    def failure(self, envelope: dict[str, Any], status: int) -> bytes:
        return _event(
            {"type": "error", "error": {"type": error_type(status), "message": envelope["errors"][0]["message"]}}
        )

    def result(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        [choice] = choices
        stop = self._stop_fields(choice.finish_reason, bool(choice.calls), choice.stop_sequence)
        return {**self._message([*self._blocks(choice)], usage), **stop}

    def _message_start(self, usage: Usage) -> bytes:
        self._started = True
        return _event({"type": "message_start", "message": self._message([], usage)}) + PING

    def _message(self, content: list[Any], usage: Usage) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model.id,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_fields(usage),
        }

    def _stop_fields(self, reason: str, tool_used: bool, stop_sequence: str) -> dict[str, Any]:
        if reason == "stop" and stop_sequence:
            return {"stop_reason": "stop_sequence", "stop_sequence": stop_sequence}
        reason = "tool_calls" if tool_used and reason == "stop" else reason
        return {"stop_reason": STOP_REASONS.get(reason, "end_turn"), "stop_sequence": None}

    def _blocks(self, choice: Choice) -> Iterator[dict[str, Any]]:
        if choice.reasoning and self._shows_thinking:
            yield {"type": "thinking", "thinking": choice.reasoning, "signature": ""}
        if choice.text:
            yield {"type": "text", "text": choice.text}
        yield from (
            {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call)}
            for call in choice.calls.values()
        )

    # Blocks of a stream

    def _thinking(self, text: str) -> bytes:
        blank = {"type": "thinking", "thinking": "", "signature": ""}
        opened = b"" if self._open == "thinking" else self._start("thinking", blank)
        return opened + self._delta({"type": "thinking_delta", "thinking": text})

    def _tool_use(self, piece: dict[str, Any]) -> bytes:
        """A call's first piece has its name; later ones have more of its arguments."""
        call = AccumulatedCall()
        call.add(piece)
        self._tool_used, opened = True, b""
        if call.name:
            blank = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
            opened = self._start("tool_use", blank)
        more = {"type": "input_json_delta", "partial_json": call.arguments}
        return opened + (self._delta(more) if call.arguments else b"")

    def _start(self, kind: str, blank: dict[str, Any]) -> bytes:
        closed = self._close()
        self._open, self._index = kind, self._index + 1
        self._delta_head = DELTA_HEAD % self._index
        return closed + _event({"type": "content_block_start", "index": self._index, "content_block": blank})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return b"%b%b}\n\n" % (self._delta_head, _encode(delta))

    def _close(self) -> bytes:
        if not self._open:
            return b""
        signed = self._delta({"type": "signature_delta", "signature": ""}) if self._open == "thinking" else b""
        self._open = ""
        return signed + _event({"type": "content_block_stop", "index": self._index})


def usage_fields(usage: Usage) -> dict[str, int]:
    """``input_tokens`` are those that had to be read."""
    return {
        "input_tokens": usage.prompt - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }


def _input(call: AccumulatedCall) -> dict[str, Any]:
    """An object; empty if the model stopped half-way through it."""
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
    except msgspec.DecodeError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _event(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))


__all__ = ["MessagesEncoder"]
