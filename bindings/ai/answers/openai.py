"""OpenAI's chat completions and completions: whole answers, and streams as the service sends them.

Facts: docs/reference/workers-ai.md#openais-api.

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
from bindings.ai.engine.protocol import Delta, Extra
from bindings.ai.engines import accumulator
from bindings.ai.engines.accumulator import Choice, Usage, index_of
from bindings.ai.inputs import prompts
from bindings.ai.inputs.text import TextRequest

NO_EXTRA = Extra()
_encode = msgspec.json.Encoder().encode


class ChunkEncoder:
    """What both encoders share. ``encode_text`` is kept cheap: a prefix made once, the text, an end."""

    answer_object, chunk_object = "", ""

    def __init__(self, request: TextRequest, model: Model, *, padding: bool) -> None:
        now = time.time()
        self._request, self._model, self._padding = request, model, padding
        self._id, self._created = f"id-{int(now * 1000)}", int(now)
        self._finish_reasons = dict.fromkeys(range(request.choices), "stop")
        self._null_usage: dict[str, Any] = {"usage": None} if request.usage_chunk and request.include_usage else {}
        before, after = self._chunk([self._text_choice(0, "\0")])[:-3].split(b'"\\u0000"')
        self._before, self._after = before, after
        self.encode_text = self._padded_text if padding else self._unpadded_text

    def begin(self) -> bytes:
        return b""

    def encode_delta(self, delta: Delta) -> bytes:
        index, extra = index_of(delta), delta.extra or NO_EXTRA
        events = b"".join(self._pad(self._chunk([choice])) for choice in self._delta_choices(index, delta.text, extra))
        if delta.finish_reason is not None:
            self._finish_reasons[index] = self._finish_reason(index, delta.finish_reason)
        return events

    def end(self, usage: Usage) -> bytes:
        finals = [[self._final_choice(index, reason)] for index, reason in self._finish_reasons.items()]
        if self._request.usage_chunk and self._request.include_usage:
            finals.append([])
        usage_field = {"usage": usage.detailed()} if self._request.include_usage else {}
        return b"".join(map(self._final_chunk, finals[:-1])) + self._final_chunk(finals[-1], **usage_field) + sse.DONE

    def failure(self, envelope: dict[str, Any], status: int) -> bytes:
        """``error`` beside the envelope: OpenAI's clients look for it."""
        return sse.event({**envelope, "error": openai_errors.error_object(envelope, status)})

    def result(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        whole = [self._result_choice(index, choice) for index, choice in enumerate(choices)]
        return {
            "id": self._id,
            "object": self.answer_object,
            "created": self._created,
            "model": self._model.id,
            "choices": whole,
            "usage": usage.detailed(),
        }

    def _unpadded_text(self, text: str) -> bytes:
        return b"%b%b%b}\n\n" % (self._before, _encode(text), self._after)

    def _padded_text(self, text: str) -> bytes:
        return b"%b%b%b%b" % (self._before, _encode(text), self._after, sse.filler())

    def _chunk(self, choices: list[Any]) -> bytes:
        return sse.event(
            {
                "id": self._id,
                "created": self._created,
                "model": self._model.id,
                "object": self.chunk_object,
                "choices": choices,
                **self._null_usage,
            }
        )

    def _pad(self, event: bytes) -> bytes:
        return event[:-3] + sse.filler() if self._padding else event

    def _final_chunk(self, choices: list[Any], **more: object) -> bytes:
        return sse.event(
            {
                "id": self._id,
                "object": self.chunk_object,
                "created": self._created,
                "model": self._model.id,
                "choices": choices,
                **self._null_usage,
                **more,
            }
        )

    # What differs

    def _text_choice(self, index: int, text: str) -> dict[str, Any]:
        raise NotImplementedError

    def _delta_choices(self, index: int, text: str, extra: Extra) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _final_choice(self, index: int, reason: str) -> dict[str, Any]:
        raise NotImplementedError

    def _result_choice(self, index: int, choice: Choice) -> dict[str, Any]:
        raise NotImplementedError

    def _finish_reason(self, index: int, reason: str) -> str:
        return reason


class ChatEncoder(ChunkEncoder):
    answer_object, chunk_object = "chat.completion", "chat.completion.chunk"

    def __init__(self, request: TextRequest, model: Model, *, padding: bool) -> None:
        super().__init__(request, model, padding=padding)
        self._called: set[int] = set()

    def begin(self) -> bytes:
        first = {"delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        return b"".join(self._pad(self._chunk([{"index": index, **first}])) for index in self._finish_reasons)

    def _text_choice(self, index: int, text: str) -> dict[str, Any]:
        return {"index": index, "delta": {"content": text}}

    def _delta_choices(self, index: int, text: str, extra: Extra) -> list[dict[str, Any]]:
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

    def _finish_reason(self, index: int, reason: str) -> str:
        return accumulator.reason(reason, index in self._called)

    def _final_choice(self, index: int, reason: str) -> dict[str, Any]:
        """An empty text rather than none: one client insists that there be one."""
        return {"index": index, "delta": {"content": ""}, "finish_reason": reason}

    def _result_choice(self, index: int, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.text}
        if choice.reasoning:
            message["reasoning_content"] = choice.reasoning
        if choice.calls:
            message["content"] = choice.text or None
            message["tool_calls"] = [call.openai() for call in choice.calls.values()]
        logprobs = None if self._request.generate.logprobs is None else {"content": choice.logprobs}
        return {"index": index, "message": message, "finish_reason": choice.finish_reason, "logprobs": logprobs}


class CompletionEncoder(ChunkEncoder):
    answer_object, chunk_object = "text_completion", "text_completion"

    def __init__(self, request: TextRequest, model: Model, *, padding: bool) -> None:
        super().__init__(request, model, padding=padding)
        self._offsets = dict.fromkeys(self._finish_reasons, 0)

    def result(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        best = prompts.best_choices(choices, self._request.generate.n, int(self._request.body.get("n", 1)))
        return super().result(best, usage)

    def _text_choice(self, index: int, text: str) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": None}

    def _delta_choices(self, index: int, text: str, extra: Extra) -> list[dict[str, Any]]:
        logprobs = _logprobs(extra.logprobs, self._offsets[index])
        choice = {**self._text_choice(index, extra.reasoning + text), "logprobs": logprobs}
        self._offsets[index] += sum(len(one["token"]) for one in extra.logprobs)
        return [choice] if choice["text"] or extra.logprobs else []

    def _final_choice(self, index: int, reason: str) -> dict[str, Any]:
        return {**self._text_choice(index, ""), "finish_reason": reason}

    def _result_choice(self, index: int, choice: Choice) -> dict[str, Any]:
        shown = self._request.body.get("logprobs") not in (None, False, "false")  # or they served to choose
        whole = {**self._text_choice(index, choice.text), "logprobs": _logprobs(choice.logprobs) if shown else None}
        return {**whole, "finish_reason": choice.finish_reason}


def _logprobs(logprobs: list[dict[str, Any]], offset: int = 0) -> dict[str, Any] | None:
    """The completions' form of logprobs, a list for each property. ``offset``: characters before the first token."""
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


__all__ = ["ChatEncoder", "CompletionEncoder"]
