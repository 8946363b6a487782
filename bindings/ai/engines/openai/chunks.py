"""The chunks of an answer in OpenAI's form, chat completions' and completions', whatever else a server says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import msgspec

from bindings.ai.engine.protocol import EngineError
from bindings.ai.engines.openai.errors import decoded
from bindings.ai.engines.openai.sse import EventDecoder, PeekableBody, ServerSentEvent

MAX_WHOLE_BYTES = 1 << 28  # bytes of an answer that is no stream

Failure = Callable[[Any], EngineError]
"""``failure(error)``: what a server's error, decoded, becomes."""


class Piece(msgspec.Struct):
    content: str | list[Any] | None = None
    reasoning: Any = None  # vLLM, OpenRouter
    reasoning_content: Any = None  # llama.cpp, DeepSeek
    refusal: str | None = None  # OpenAI: what is said instead
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None  # before there were several

    @property
    def calls(self) -> list[dict[str, Any]] | None:
        if self.function_call and not self.tool_calls:
            return [{"index": 0, "function": self.function_call}]
        return self.tool_calls


class ChunkChoice(msgspec.Struct):
    index: int | None = 0
    delta: Piece | None = None  # chat completions
    message: Piece | None = None  # a whole one
    text: str | None = None  # completions
    finish_reason: object = None
    logprobs: dict[str, Any] | None = None

    @property
    def piece(self) -> Piece:
        return self.delta or self.message or Piece(content=self.text)


class Details(msgspec.Struct):
    cached_tokens: int | None = None


class ChunkUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None


class Chunk(msgspec.Struct):
    choices: list[ChunkChoice] | None = None
    usage: ChunkUsage | None = None
    error: Any = None
    object: Any = None
    type: Any = None

    @property
    def is_error(self) -> bool:
        return bool(self.error) or "error" in (self.object, self.type)


_decode = msgspec.json.Decoder(Chunk).decode


async def chunks(body: PeekableBody, failure: Failure) -> AsyncGenerator[Iterator[Chunk | None], None]:
    """What the server says, for each piece that the network brings; None is its word that it is done.

    Raises EngineError: the server's error.
    """
    head = await body.begin()
    if head[:1] in (b"{", b"[", b"<"):  # no stream, whatever was asked for: an answer, an error, a page
        yield iter([_whole(await body.rest(MAX_WHOLE_BYTES), failure), None])
        return
    decoder, has_data = EventDecoder(), False
    while piece := await body.read():
        yield (chunk for event in decoder.feed(piece) for chunk in _chunks(event, failure))
        has_data = has_data or b"data" in piece
    yield (chunk for event in decoder.end() for chunk in _chunks(event, failure))
    if head and not has_data:
        raise failure(head[:2000].decode(errors="replace"))


def _whole(data: bytes, failure: Failure) -> Chunk:
    chunk = _chunk(data, failure)
    if not chunk.choices:
        raise failure(decoded(data))
    return chunk


def _chunks(event: ServerSentEvent, failure: Failure) -> Iterator[Chunk | None]:
    for data in _documents(event.data):
        if data == b"[DONE]":
            yield None
        elif data and data != b"null":
            yield _chunk(data, failure, wrong=event.name == b"error")


def _documents(lines: list[bytes]) -> list[bytes]:
    """An event's lines are one document, or one each where the server leaves out the blank lines."""
    if len(lines) > 1:
        whole = b"\n".join(lines)
        try:
            msgspec.json.decode(whole, type=msgspec.Raw)
        except msgspec.DecodeError:
            pass
        else:
            return [whole]
    return [line.strip() for line in lines]


def _chunk(data: bytes, failure: Failure, *, wrong: bool = False) -> Chunk:
    """Raises EngineError: an error, or what is no chunk at all."""
    try:
        chunk = _decode(data)
    except msgspec.DecodeError:
        raise failure(decoded(data)) from None
    if wrong or chunk.is_error:
        raise failure(decoded(data))
    return chunk


__all__ = ["Chunk", "ChunkChoice", "ChunkUsage", "Failure", "Piece", "chunks"]
