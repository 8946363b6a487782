"""The items of a Responses answer: each knows the events that open, fill and close it."""

from __future__ import annotations

import uuid
from typing import Any

from bindings.ai.engine.accumulator import AccumulatedCall

Event = dict[str, Any]


class Item:
    """``place`` is where it stands in the output; ``where`` says so in the events of its text, encoded.

    ``add`` fills it; ``done`` is the whole of it, with ``status``.
    """

    status = "completed"
    letters, name = "", ""  # of its id; of its content, in the events' names

    def __init__(self, text: str = "", logprobs: list[Any] | None = None) -> None:
        self.id, self.place, self.where = f"{self.letters}_{uuid.uuid4().hex}", 0, b""
        self.texts, self.logprobs = [text], logprobs or []

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def opening(self) -> list[Event]:
        added = {"type": "response.output_item.added", "output_index": self.place, "item": self.empty()}
        return [added, self.event("response.content_part.added", part=self.content(""))]

    def add(self, text: str, logprobs: list[Any] | None = None) -> list[Event]:
        self.texts.append(text)
        self.logprobs += logprobs or []
        return [self.event(f"response.{self.name}.delta", delta=text, **self.probable(logprobs or []))]

    def closing(self) -> list[Event]:
        done = {"type": "response.output_item.done", "output_index": self.place, "item": self.done()}
        return [
            self.event(f"response.{self.name}.done", text=self.text, **self.probable(self.logprobs)),
            self.event("response.content_part.done", part=self.content(self.text)),
            done,
        ]

    def event(self, type: str, **fields: Any) -> Event:
        return {"type": type, "item_id": self.id, "output_index": self.place, "content_index": 0, **fields}

    # What differs

    def empty(self) -> Event:
        raise NotImplementedError

    def done(self) -> Event:
        raise NotImplementedError

    def content(self, text: str) -> Event:
        raise NotImplementedError

    def probable(self, logprobs: list[Any]) -> Event:
        return {}


class Message(Item):
    letters, name = "msg", "output_text"

    def empty(self) -> Event:
        return self._message("in_progress", [])

    def done(self) -> Event:
        return self._message(self.status, [self.content(self.text)])

    def content(self, text: str) -> Event:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self.logprobs if text else []}

    def probable(self, logprobs: list[Any]) -> Event:
        return {"logprobs": logprobs}

    def _message(self, status: str, content: list[Event]) -> Event:
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}


class Reasoning(Item):
    letters, name = "rs", "reasoning_text"

    def empty(self) -> Event:
        return self._reasoning("in_progress", [])

    def done(self) -> Event:
        return self._reasoning(self.status, [self.content(self.text)])

    def content(self, text: str) -> Event:
        return {"type": "reasoning_text", "text": text}

    def _reasoning(self, status: str, content: list[Event]) -> Event:
        return {"id": self.id, "type": "reasoning", "status": status, "summary": [], "content": content}


class ToolCall(Item):
    """Its text is the arguments. It has no parts of content."""

    letters = "fc"

    def __init__(self, call: AccumulatedCall | None = None) -> None:
        self._call = call or AccumulatedCall()
        super().__init__(self._call.arguments)

    def opening(self) -> list[Event]:
        self.texts = []
        return [{"type": "response.output_item.added", "output_index": self.place, "item": self.empty()}]

    def add(self, text: str, logprobs: list[Any] | None = None) -> list[Event]:
        self.texts.append(text)
        return [self._arguments("delta", delta=text)] if text else []

    def closing(self) -> list[Event]:
        done = {"type": "response.output_item.done", "output_index": self.place, "item": self.done()}
        return [self._arguments("done", name=self._call.name, arguments=self.text), done]

    def empty(self) -> Event:
        return self._function_call("in_progress", "")

    def done(self) -> Event:
        return self._function_call(self.status, self.text)

    def _arguments(self, what: str, **fields: Any) -> Event:
        return {
            "type": f"response.function_call_arguments.{what}",
            "item_id": self.id,
            "output_index": self.place,
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


__all__ = ["Item", "Message", "Reasoning", "ToolCall"]
