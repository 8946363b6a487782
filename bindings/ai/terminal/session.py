"""One model, asked from a terminal: the very service that ``pilot dev`` has, without a server around it.

It runs in a thread of its own, so that the terminal's may wait for a person, whose Ctrl-C then comes between two pieces
of an answer; and so that a model loads while the first line is typed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import aclosing, suppress
from queue import SimpleQueue
from typing import Any

import msgspec

from bindings.ai.catalog.resolve import Served
from bindings.ai.error_table import CONTEXT_EXCEEDED
from bindings.ai.errors import ModelError
from bindings.ai.inputs.text import CHAT, OPENAI_ROUTE
from bindings.ai.replicas.pool import EnginePool
from bindings.ai.service import AIService, ServiceSettings
from bindings.ai.terminal.project import Project
from bindings.ai.terminal.telling import Telling
from runtime.errors import UserError

Messages = Sequence[Mapping[str, str]]
_ENDED = None  # in a queue of pieces


class Piece(msgspec.Struct, frozen=True):
    """A part of an answer, or of the thoughts before it. The last has ``usage`` and ``finish_reason``."""

    text: str = ""
    thought: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None


class Refused(UserError):
    """The model's refusal; ``too_long``: the conversation is longer than its window."""

    def __init__(self, error: ModelError) -> None:
        self.too_long = error.code == CONTEXT_EXCEEDED.code
        super().__init__(error.description)


class Session:
    """``with Session(...)``: the model loads; at the end its process goes."""

    def __init__(self, project: Project, served: Served, telling: Telling) -> None:
        self._project, self._served, self._telling = project, served, telling
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._service: AIService

    def __enter__(self) -> Session:
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(KeyboardInterrupt):  # a second one: the process that it leaves ends by itself
            self._call(self._service.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def ask(self, messages: Messages, options: Mapping[str, Any]) -> Generator[Piece, None, None]:
        """The answer to a conversation. Closing it, as Ctrl-C does, stops the model. Raises Refused."""
        pieces: SimpleQueue[Piece | Exception | None] = SimpleQueue()
        done = asyncio.run_coroutine_threadsafe(self._pump({"messages": messages, **options}, pieces), self._loop)
        try:
            while (piece := pieces.get()) is not _ENDED:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            done.cancel()
            with suppress(CancelledError):
                done.result()

    def result(self, inputs: Mapping[str, Any]) -> Any:
        """The whole answer to what is no conversation. Raises Refused."""
        return self._call(self._result(inputs))

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        pool = EnginePool(self._telling, load_timeout=self._project.load_timeout)
        settings = ServiceSettings(engine=self._project.engine)
        self._service = AIService(pool, self._project.catalog, settings, self._telling)
        pool.get(self._served.spec)

    async def _pump(self, inputs: Mapping[str, Any], pieces: SimpleQueue[Piece | Exception | None]) -> None:
        try:
            async with aclosing(self._stream(inputs)) as stream:
                async for piece in stream:
                    pieces.put(piece)
        except Exception as error:
            pieces.put(error)
        finally:
            pieces.put(_ENDED)

    async def _stream(self, inputs: Mapping[str, Any]) -> Any:
        """As OpenAI's route asks: the answer may fill the window, and thoughts are apart."""
        fields = {**inputs, "stream": True, "stream_options": {"include_usage": True}}
        try:
            answer = await self._service.run(self._served.model.id, fields, form=OPENAI_ROUTE + CHAT)
        except ModelError as error:
            raise Refused(error) from None
        assert answer.stream is not None
        async with aclosing(answer.stream) as events:
            async for piece in _pieces(events, self._served.model.id):
                yield piece

    async def _result(self, inputs: Mapping[str, Any]) -> Any:
        try:
            return (await self._service.run(self._served.model.id, inputs)).json
        except ModelError as error:
            raise Refused(error) from None


async def _pieces(events: AsyncIterator[bytes], model: str) -> Any:
    async for chunk in events:
        for event in chunk.split(b"\n\n"):
            data = event.removeprefix(b"data: ").strip()
            if data and data != b"[DONE]":
                yield _piece(msgspec.json.decode(data), model)


def _piece(chunk: dict[str, Any], model: str) -> Piece:
    if error := chunk.get("error"):
        raise UserError(error["message"], where=model, remedy="Ask again; in a chat that has grown long, after  /clear")
    choice = (chunk["choices"] or [{}])[0]
    delta = choice.get("delta") or {}
    text, thought = delta.get("content") or "", delta.get("reasoning_content") or ""
    return Piece(text, thought, choice.get("finish_reason"), chunk.get("usage"))


__all__ = ["Messages", "Piece", "Refused", "Session"]
