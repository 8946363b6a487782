"""The events of a stream in OpenAI's form as deltas, those of chat completions and of completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import msgspec

from bindings.ai.engine import Delta, EngineError, Extra


class _Piece(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None           # vLLM, OpenRouter
    reasoning_content: str | None = None   # llama.cpp, DeepSeek
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Piece | None = None        # chat completions
    text: str | None = None            # completions
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode
Refusal = Callable[[int, str], EngineError]


async def deltas(lines: Any, answers: int, logprobs: int | None, refusal: Refusal) -> AsyncGenerator[Delta, None]:
    """One delta per event; the reasons wait for the count of tokens, which comes after them.

    ``answers``: how many there will be; ``logprobs``: how many alternatives to tell of each token.
    """
    counted, usage = 0, _Usage()
    reasons: dict[int, str] = {}
    async for line in lines:
        if not line.startswith(b"data:") or line.startswith(b"data: [DONE]"):
            continue
        event = _decode(line[5:])
        if event.error is not None:
            raise refusal(500, msgspec.json.encode(event.error).decode())
        usage = event.usage or usage
        for choice in event.choices:
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
            if (delta := _delta(choice, logprobs)) is not None:
                counted += 1
                yield delta
    if len(reasons) < answers:
        raise EngineError(3043, 500, "The server ended the stream before the answer was complete")
    for last in _ends(reasons, usage, counted):
        yield last


def _delta(choice: _Choice, logprobs: int | None) -> Delta | None:
    piece = choice.delta or _Piece(content=choice.text)
    more: dict[str, Any] = {}
    if thought := piece.reasoning or piece.reasoning_content:
        more["reasoning"] = thought
    if piece.tool_calls:
        more["tool_calls"] = piece.tool_calls
    if choice.logprobs and logprobs is not None:
        more["logprobs"] = [_cut(one, logprobs) for one in _odds(choice.logprobs)]
    if not piece.content and not more:
        return None
    if choice.index:
        more["index"] = choice.index
    return Delta(piece.content or "", extra=Extra(**more) if more else None)


def _ends(reasons: dict[int, str], usage: _Usage, counted: int) -> Iterator[Delta]:
    """The last delta of each answer; the first of them has the tokens that came without text."""
    rest = max(0, usage.completion_tokens - counted)
    details = usage.prompt_tokens_details
    for index, reason in sorted(reasons.items()):
        cached = details.cached_tokens or 0 if details else 0
        extra = Extra(index=index, cached_tokens=cached) if index or cached else None
        yield Delta("", rest, usage.prompt_tokens, _REASONS.get(reason, "stop"), extra)
        rest = 0


_REASONS = {"length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}


def _odds(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Chat's form of the odds; completions have lists beside each other."""
    if "tokens" not in given:
        return given.get("content") or []
    alternatives = given.get("top_logprobs") or [None] * len(given["tokens"])
    return [
        {**_token(token, odd), "top_logprobs": [_token(*pair) for pair in (others or {}).items()]}
        for token, odd, others in zip(given["tokens"], given["token_logprobs"], alternatives, strict=True)
    ]


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _cut(one: dict[str, Any], count: int) -> dict[str, Any]:
    names = ("token", "logprob", "bytes")
    likeliest = (one.get("top_logprobs") or [])[:count]
    return {**{name: one.get(name) for name in names},
            "top_logprobs": [{name: other.get(name) for name in names} for other in likeliest]}


__all__ = ["deltas"]
