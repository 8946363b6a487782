"""A whole answer, put together from an engine's deltas: one ``Choice`` for each of the ``n`` asked for."""

from __future__ import annotations

from typing import Any

import msgspec

from bindings.ai.engine.protocol import Delta, Extra

CALL_KEYS = frozenset({"index", "id", "type", "function", "name", "arguments"})  # what a tool call consists of


class Usage(msgspec.Struct, frozen=True):
    """Tokens; ``cached``: those of the prompt that need not be read again."""

    prompt: int
    completion: int
    cached: int = 0

    def counts(self) -> dict[str, Any]:
        total = self.prompt + self.completion
        return {"prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": total}

    def detailed(self) -> dict[str, Any]:
        return {**self.counts(), "prompt_tokens_details": {"cached_tokens": self.cached}}


class AccumulatedCall(msgspec.Struct):
    """One tool call; ``arguments`` is JSON text that arrives in pieces. ``more``: what else a server says of it,
    which it may want back in the next request (``extra_content``)."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    more: dict[str, Any] = {}

    def add(self, piece: dict[str, Any]) -> None:
        function = piece.get("function") or {}
        self.id = piece.get("id") or self.id
        self.name = function.get("name") or self.name
        self.arguments += function.get("arguments") or ""
        self.more |= {name: value for name, value in piece.items() if name not in CALL_KEYS}

    def openai(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function, **self.more}


class Choice(msgspec.Struct):
    texts: list[str] = []
    thoughts: list[str] = []
    calls: dict[int, AccumulatedCall] = {}
    logprobs: list[dict[str, Any]] = []
    finish_reason: str = "stop"
    stop_sequence: str = ""

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        return "".join(self.thoughts)

    def add(self, delta: Delta) -> None:
        self.texts.append(delta.text)
        if delta.extra is not None:
            self._add(delta.extra)
        if delta.finish_reason is not None:
            self.finish_reason = reason(delta.finish_reason, bool(self.calls))

    def _add(self, extra: Extra) -> None:
        self.thoughts.append(extra.reasoning)
        self.logprobs += extra.logprobs
        self.stop_sequence = extra.stop_sequence or self.stop_sequence
        for piece in extra.tool_calls:
            self.calls.setdefault(piece.get("index", 0), AccumulatedCall()).add(piece)


CUT_REASONS = ("length", "content_filter")


def reason(given: str, called: bool) -> str:
    """ "tool_calls" whenever there are some, as the service has it; a call that was cut is cut all the same."""
    return "tool_calls" if called and given not in CUT_REASONS else given


def index_of(delta: Delta) -> int:
    """Which of the ``n`` answers it belongs to."""
    return 0 if delta.extra is None else delta.extra.index


__all__ = ["CALL_KEYS", "CUT_REASONS", "AccumulatedCall", "Choice", "Usage", "index_of", "reason"]
