"""An answer in OpenAI's form as deltas: a stream of chat completions or completions, or a whole one.

Servers differ in what they leave out, repeat or add. An answer is complete when each of its choices has a reason,
or the server has said ``[DONE]``; what goes wrong after that is nobody's concern.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from typing import Any

from bindings.ai.engine.protocol import Delta, EngineError, Extra
from bindings.ai.engines.openai.calls import ToolCallAssembler
from bindings.ai.engines.openai.chunks import Chunk, ChunkChoice, ChunkUsage, Failure, Piece, chunks
from bindings.ai.engines.openai.sse import Content, PeekableBody
from bindings.ai.error_table import INTERNAL

USAGE_WAIT_S = 5.0  # a finished answer waits so long for its count of tokens
CLOSE_WAIT_S = 0.1  # and a connection for its end, after which it can be used again
_REASONS = {
    "length": "length", "max_tokens": "length", "model_length": "length",
    "tool_calls": "tool_calls", "tool_use": "tool_calls", "function_call": "tool_calls",
    "content_filter": "content_filter", "safety": "content_filter", "refusal": "content_filter",
}  # fmt: skip


async def deltas(content: Content, answers: int, logprobs: int | None, failure: Failure) -> AsyncGenerator[Delta, None]:
    """One delta per event; the reasons wait for the count of tokens, which comes after them.

    ``answers``: how many there will be; ``logprobs``: how many alternatives to tell of each token.
    """
    body, answer = PeekableBody(content), _Answer(answers, logprobs, failure)
    try:
        async with aclosing(chunks(body, failure)) as pieces:
            async for piece in pieces:
                for delta in answer.read(piece):
                    yield delta
                if answer.done:
                    break
                body.timeout_s = USAGE_WAIT_S if answer.finished else None
    except Exception:
        if not answer.finished:
            raise
    for last in answer.end():
        yield last
    body.timeout_s = CLOSE_WAIT_S
    with suppress(Exception):
        await body.read()


class _Answer:
    """What has been read so far. ``done``: the server has said so."""

    def __init__(self, answers: int, logprobs: int | None, failure: Failure) -> None:
        self._answers, self._logprobs, self._failure = answers, logprobs, failure
        self._prompt = self._completion = self._cached = self._counted = 0
        self._told = 0  # answers that were over when a count came in a chunk of its own
        self._reasons: dict[int, str] = {}
        self._calls: defaultdict[int, ToolCallAssembler] = defaultdict(ToolCallAssembler)
        self.done = False

    @property
    def finished(self) -> bool:
        return len(self._reasons) >= self._answers

    def read(self, piece: Iterator[Chunk | None]) -> Iterator[Delta]:
        for chunk in piece:
            if chunk is None:
                self.done = True
                return
            if chunk.usage is not None:
                self._count(chunk.usage, alone=not chunk.choices)
            for choice in chunk.choices or ():
                if choice.finish_reason:
                    self._end(choice)
                if (delta := self._delta(choice)) is not None:
                    self._counted += 1
                    yield delta

    def end(self) -> Iterator[Delta]:
        """The last delta of each answer; the first of them has the tokens that came without text."""
        if not self.finished:
            if not (self.done and (self._counted or self._completion)):
                raise EngineError(INTERNAL, "The server ended the stream before the answer was complete")
            self._reasons = {**dict.fromkeys(range(self._answers), "stop"), **self._reasons}
        rest = max(0, self._completion - self._counted)
        for index, reason in sorted(self._reasons.items()):
            extra = Extra(index=index, cached_tokens=self._cached) if index or self._cached else None
            yield Delta("", rest, self._prompt, reason, extra)
            rest = 0

    def _count(self, usage: ChunkUsage, *, alone: bool) -> None:
        """The largest numbers: some servers count in every chunk, some say nought in the last. llama.cpp's counts each
        answer in a chunk of its own, after the answer's end, and never all of them: those are added up."""
        self._prompt = max(self._prompt, usage.prompt_tokens or 0)
        completion = usage.completion_tokens or 0
        over, told = len(self._reasons), self._told
        if alone:
            self._told = over
        if alone and 0 < told < over:
            self._completion += completion
        else:
            self._completion = max(self._completion, completion)
        if usage.prompt_tokens_details:
            self._cached = max(self._cached, usage.prompt_tokens_details.cached_tokens or 0)

    def _end(self, choice: ChunkChoice) -> None:
        reason = str(choice.finish_reason).lower()
        if reason == "error":
            raise self._failure("The server ended the answer with an error")
        self._reasons[choice.index or 0] = _REASONS.get(reason, "stop")

    def _delta(self, choice: ChunkChoice) -> Delta | None:
        piece, index = choice.piece, choice.index or 0
        text, thought = _content(piece)
        more: dict[str, Any] = {"reasoning": thought} if thought else {}
        if pieces := piece.calls:
            more["tool_calls"] = list(self._calls[index].read(pieces))
        if choice.logprobs and self._logprobs is not None:
            more["logprobs"] = [_cut(one, self._logprobs) for one in _logprobs_of(choice.logprobs)]
        if not text and not more:
            return None
        if index:
            more["index"] = index
        return Delta(text, extra=Extra(**more) if more else None)


def _content(piece: Piece) -> tuple[str, str]:
    """(text, thought)."""
    thought = _flat(piece.reasoning or piece.reasoning_content)
    if not isinstance(piece.content, list):
        return piece.content or piece.refusal or "", thought
    texts = [part for part in piece.content if not _is_thought(part)]
    return _flat(texts), thought + _flat([part for part in piece.content if _is_thought(part)])


def _is_thought(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in ("thinking", "reasoning")


def _flat(value: object) -> str:
    """The text of a string, of parts, or of parts in parts (Mistral's)."""
    if isinstance(value, list):
        return "".join(map(_flat, value))
    if isinstance(value, dict):
        return _flat(value.get("text") or value.get("thinking") or value.get("content"))
    return value if isinstance(value, str) else ""


def _logprobs_of(logprobs: dict[str, Any]) -> list[dict[str, Any]]:
    """Chat's form of the odds; completions have lists beside each other."""
    if "tokens" not in logprobs:
        return logprobs.get("content") or []
    alternatives = logprobs.get("top_logprobs") or [None] * len(logprobs["tokens"])
    return [
        {**_token(token, odd), "top_logprobs": [_token(*pair) for pair in (others or {}).items()]}
        for token, odd, others in zip(logprobs["tokens"], logprobs["token_logprobs"], alternatives, strict=True)
    ]


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _cut(one: dict[str, Any], count: int) -> dict[str, Any]:
    names = ("token", "logprob", "bytes")
    likeliest = (one.get("top_logprobs") or [])[:count]
    return {
        **{name: one.get(name) for name in names},
        "top_logprobs": [{name: other.get(name) for name in names} for other in likeliest],
    }


__all__ = ["deltas"]
