"""The items of a Responses answer: each knows the events that open, fill and close it."""

from __future__ import annotations

import uuid
from typing import Any

from bindings.ai.engines.accumulator import AccumulatedCall

Event = dict[str, Any]


class Item:
    """``output_index`` is its place in the output; ``delta_head`` is what a text event has before the text.

    ``add`` fills it; ``done`` is the whole of it, with ``status``.
    """

    status = "completed"
    id_prefix, content_type = "", ""

    def __init__(self, text: str = "", logprobs: list[Any] | None = None) -> None:
        self.id, self.output_index, self.delta_head = f"{self.id_prefix}_{uuid.uuid4().hex}", 0, b""
        self.texts, self.logprobs = [text], logprobs or []

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def opening(self) -> list[Event]:
        added = {"type": "response.output_item.added", "output_index": self.output_index, "item": self.empty()}
        return [added, self.event("response.content_part.added", part=self.content(""))]

    def add(self, text: str, logprobs: list[Any] | None = None) -> list[Event]:
        self.texts.append(text)
        self.logprobs += logprobs or []
        return [self.event(f"response.{self.content_type}.delta", delta=text, **self.logprobs_field(logprobs or []))]

    def closing(self) -> list[Event]:
        done = {"type": "response.output_item.done", "output_index": self.output_index, "item": self.done()}
        return [
            self.event(f"response.{self.content_type}.done", text=self.text, **self.logprobs_field(self.logprobs)),
            self.event("response.content_part.done", part=self.content(self.text)),
            done,
        ]

    def event(self, type: str, **fields: object) -> Event:
        return {"type": type, "item_id": self.id, "output_index": self.output_index, "content_index": 0, **fields}

    # What differs

    def empty(self) -> Event:
        raise NotImplementedError

    def done(self) -> Event:
        raise NotImplementedError

    def content(self, text: str) -> Event:
        raise NotImplementedError

    def logprobs_field(self, logprobs: list[Any]) -> Event:
        return {}


class MessageItem(Item):
    id_prefix, content_type = "msg", "output_text"

    def empty(self) -> Event:
        return self._message("in_progress", [])

    def done(self) -> Event:
        return self._message(self.status, [self.content(self.text)])

    def content(self, text: str) -> Event:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self.logprobs if text else []}

    def logprobs_field(self, logprobs: list[Any]) -> Event:
        return {"logprobs": logprobs}

    def _message(self, status: str, content: list[Event]) -> Event:
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}


class ReasoningItem(Item):
    id_prefix, content_type = "rs", "reasoning_text"

    def empty(self) -> Event:
        return self._reasoning("in_progress", [])

    def done(self) -> Event:
        return self._reasoning(self.status, [self.content(self.text)])

    def content(self, text: str) -> Event:
        return {"type": "reasoning_text", "text": text}

    def _reasoning(self, status: str, content: list[Event]) -> Event:
        return {"id": self.id, "type": "reasoning", "status": status, "summary": [], "content": content}


class FunctionCallItem(Item):
    """Its text is the arguments. It has no parts of content."""

    id_prefix = "fc"

    def __init__(self, call: AccumulatedCall | None = None) -> None:
        self._call = call or AccumulatedCall()
        super().__init__(self._call.arguments)

    def opening(self) -> list[Event]:
        self.texts = []
        return [{"type": "response.output_item.added", "output_index": self.output_index, "item": self.empty()}]

    def add(self, text: str, logprobs: list[Any] | None = None) -> list[Event]:
        self.texts.append(text)
        return [self._arguments("delta", delta=text)] if text else []

    def closing(self) -> list[Event]:
        done = {"type": "response.output_item.done", "output_index": self.output_index, "item": self.done()}
        return [self._arguments("done", name=self._call.name, arguments=self.text), done]

    def empty(self) -> Event:
        return self._function_call("in_progress", "")

    def done(self) -> Event:
        return self._function_call(self.status, self.text)

    def _arguments(self, what: str, **fields: object) -> Event:
        return {
            "type": f"response.function_call_arguments.{what}",
            "item_id": self.id,
            "output_index": self.output_index,
            **fields,
        }

    def _function_call(self, status: str, arguments: str) -> Event:
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self._call.id,
            "name": self._call.name,
            "arguments": arguments,
        }


__all__ = ["FunctionCallItem", "Item", "MessageItem", "ReasoningItem"]
