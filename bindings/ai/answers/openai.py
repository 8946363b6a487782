"""OpenAI's chat completions and completions: whole answers, and streams as the service sends them (contract §2.3).

    data: {"id":"id-…","created":…,"model":…,"object":"chat.completion.chunk","choices":[{"index":0,"delta":…}]}
    data: {"id":…,"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{…}}
    data: [DONE]

The first chunk has the role, ``finish_reason`` is on the chunk with the usage only. The service was recorded to tell no
role and to send the last chunk twice, with no tokens the second time: clients fail without the one, and believe the
other. Under ``/v1`` the usage is a chunk by itself, without choices, and comes only if it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec

from bindings.ai.answers import openai_errors, sse
from bindings.ai.catalog.models import Model
from bindings.ai.engine import accumulator as gathered
from bindings.ai.engine.accumulator import Choice, Usage, index_of
from bindings.ai.engine.protocol import Delta, Extra
from bindings.ai.inputs import prompts
from bindings.ai.inputs.text import TextInput

NONE = Extra()
_encode = msgspec.json.Encoder().encode


class Chunks:
    """What both streams share. ``text`` is kept cheap: a prefix made once, the text, an end."""

    kind, chunk = "", ""

    def __init__(self, wanted: TextInput, model: Model, *, padding: bool) -> None:
        now = time.time()
        self._wanted, self._model, self._padding = wanted, model, padding
        self._id, self._created = f"id-{int(now * 1000)}", int(now)
        self._reasons = dict.fromkeys(range(wanted.choices), "stop")
        self._unsaid: dict[str, Any] = {"usage": None} if wanted.apart and wanted.include_usage else {}
        before, after = self._event([self._said(0, "\0")])[:-3].split(b'"\\u0000"')
        self._before, self._after = before, after
        self.text = self._padded if padding else self._plain

    def begin(self) -> bytes:
        return b""

    def rest(self, delta: Delta) -> bytes:
        index, extra = index_of(delta), delta.extra or NONE
        events = b"".join(self._close(self._event([choice])) for choice in self._choices(index, delta.text, extra))
        if delta.finish_reason is not None:
            self._reasons[index] = self._reason(index, delta.finish_reason)
        return events

    def end(self, usage: Usage) -> bytes:
        finals = [[self._final(index, reason)] for index, reason in self._reasons.items()]
        if self._wanted.apart and self._wanted.include_usage:
            finals.append([])
        told = {"usage": usage.detailed()} if self._wanted.include_usage else {}
        return b"".join(map(self._ending, finals[:-1])) + self._ending(finals[-1], **told) + sse.DONE

    def failure(self, envelope: dict[str, Any], status: int) -> bytes:
        """``error`` beside the envelope: OpenAI's clients look for it."""
        return sse.event({**envelope, "error": openai_errors.told(envelope, status)})

    def whole(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        found = [self._whole(index, choice) for index, choice in enumerate(choices)]
        return {
            "id": self._id,
            "object": self.kind,
            "created": self._created,
            "model": self._model.id,
            "choices": found,
            "usage": usage.detailed(),
        }

    def _plain(self, text: str) -> bytes:
        return b"%b%b%b}\n\n" % (self._before, _encode(text), self._after)

    def _padded(self, text: str) -> bytes:
        return b"%b%b%b%b" % (self._before, _encode(text), self._after, sse.filler())

    def _event(self, choices: list[Any]) -> bytes:
        return sse.event(
            {
                "id": self._id,
                "created": self._created,
                "model": self._model.id,
                "object": self.chunk,
                "choices": choices,
                **self._unsaid,
            }
        )

    def _close(self, event: bytes) -> bytes:
        return event[:-3] + sse.filler() if self._padding else event

    def _ending(self, choices: list[Any], **more: Any) -> bytes:
        return sse.event(
            {
                "id": self._id,
                "object": self.chunk,
                "created": self._created,
                "model": self._model.id,
                "choices": choices,
                **self._unsaid,
                **more,
            }
        )

    # What differs

    def _said(self, index: int, text: str) -> dict[str, Any]:
        raise NotImplementedError

    def _choices(self, index: int, text: str, extra: Extra) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _final(self, index: int, reason: str) -> dict[str, Any]:
        raise NotImplementedError

    def _whole(self, index: int, choice: Choice) -> dict[str, Any]:
        raise NotImplementedError

    def _reason(self, index: int, reason: str) -> str:
        return reason


class Chat(Chunks):
    kind, chunk = "chat.completion", "chat.completion.chunk"

    def __init__(self, wanted: TextInput, model: Model, *, padding: bool) -> None:
        super().__init__(wanted, model, padding=padding)
        self._called: set[int] = set()

    def begin(self) -> bytes:
        first = {"delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        return b"".join(self._close(self._event([{"index": index, **first}])) for index in self._reasons)

    def _said(self, index: int, text: str) -> dict[str, Any]:
        return {"index": index, "delta": {"content": text}}

    def _choices(self, index: int, text: str, extra: Extra) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = []
        if extra.reasoning:
            deltas.append({"reasoning_content": extra.reasoning})
        if text or extra.logprobs:
            deltas.append({"content": text})
        if extra.tool_calls:
            self._called.add(index)
            deltas.append({"tool_calls": extra.tool_calls})
        choices: list[dict[str, Any]] = [{"index": index, "delta": delta} for delta in deltas]
        if extra.logprobs:
            choices[bool(extra.reasoning)]["logprobs"] = {"content": extra.logprobs}
        return choices

    def _reason(self, index: int, reason: str) -> str:
        return gathered.reason(reason, index in self._called)

    def _final(self, index: int, reason: str) -> dict[str, Any]:
        """An empty text rather than none: one client insists that there be one."""
        return {"index": index, "delta": {"content": ""}, "finish_reason": reason}

    def _whole(self, index: int, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.text}
        if choice.reasoning:
            message["reasoning_content"] = choice.reasoning
        if choice.calls:
            message["content"] = choice.text or None
            message["tool_calls"] = [call.openai() for call in choice.calls.values()]
        logprobs = None if self._wanted.generate.logprobs is None else {"content": choice.logprobs}
        return {"index": index, "message": message, "finish_reason": choice.finish_reason, "logprobs": logprobs}


class Completion(Chunks):
    kind, chunk = "text_completion", "text_completion"

    def __init__(self, wanted: TextInput, model: Model, *, padding: bool) -> None:
        super().__init__(wanted, model, padding=padding)
        self._offsets = dict.fromkeys(self._reasons, 0)

    def whole(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        best = prompts.best(choices, self._wanted.generate.n, int(self._wanted.fields.get("n", 1)))
        return super().whole(best, usage)

    def _said(self, index: int, text: str) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": None}

    def _choices(self, index: int, text: str, extra: Extra) -> list[dict[str, Any]]:
        said = {**self._said(index, extra.reasoning + text), "logprobs": _tokens(extra.logprobs, self._offsets[index])}
        self._offsets[index] += sum(len(one["token"]) for one in extra.logprobs)
        return [said] if said["text"] or extra.logprobs else []

    def _final(self, index: int, reason: str) -> dict[str, Any]:
        return {**self._said(index, ""), "finish_reason": reason}

    def _whole(self, index: int, choice: Choice) -> dict[str, Any]:
        asked = self._wanted.fields.get("logprobs") not in (None, False, "false")  # or they served to choose
        said = {**self._said(index, choice.text), "logprobs": _tokens(choice.logprobs) if asked else None}
        return {**said, "finish_reason": choice.finish_reason}


def _tokens(logprobs: list[dict[str, Any]], offset: int = 0) -> dict[str, Any] | None:
    """The older form, a list for each property. ``offset``: characters before the first token."""
    if not logprobs:
        return None
    tokens = [one["token"] for one in logprobs]
    offsets = [*accumulate(map(len, tokens[:-1]), initial=offset)]
    tops = [{top["token"]: top["logprob"] for top in one.get("top_logprobs", [])} for one in logprobs]
    return {
        "tokens": tokens,
        "token_logprobs": [one["logprob"] for one in logprobs],
        "top_logprobs": tops,
        "text_offset": offsets,
    }


__all__ = ["Chat", "Completion"]
