"""EventSource: server-sent events of another server, as events. HTML standard, 9.2."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator, Coroutine, Mapping

from runtime.web.fetching import fetch
from runtime.web.globals.events import ErrorEvent, Event, MessageEvent
from runtime.web.globals.targets import EventTarget
from runtime.web.streams import ReadableStream, to_bytes

_RETRY_S = 3.0  # before it asks again, unless the server says otherwise


class EventSource(EventTarget):
    """``EventSource(url)``: dispatches ``open``, ``message`` (or what ``event:`` says) and ``error``, and asks again
    when the answer ends, until ``close()``. ``options``: ``fetcher``, whose ``fetch`` is asked in place of the
    network. ``EventSource.from_(stream)`` reads a ReadableStream, once."""

    CONNECTING, OPEN, CLOSED = 0, 1, 2

    def __init__(self, url: object, options: Mapping[str, object] | None = None, **more: object) -> None:
        super().__init__()
        given = {**(options or {}), **more}
        self.url, self.withCredentials = str(url), False
        self._ask = getattr(given.get("fetcher"), "fetch", fetch)
        self._begin(self._follow())

    @classmethod
    def from_(cls, stream: ReadableStream) -> EventSource:
        made = cls.__new__(cls)
        EventTarget.__init__(made)
        made.url, made.withCredentials = "", False
        made._begin(made._once(stream))
        return made

    def close(self) -> None:
        self.readyState = self.CLOSED
        if self._task is not asyncio.current_task():
            self._task.cancel()

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        self.readyState, self._retry_s, self._last = self.CONNECTING, _RETRY_S, ""
        self.onopen = self.onmessage = self.onerror = None
        self._task = asyncio.ensure_future(work)

    async def _once(self, stream: ReadableStream) -> None:
        await self._dispatch(stream)
        self.readyState = self.CLOSED

    async def _follow(self) -> None:
        while self.readyState != self.CLOSED:
            headers = {"accept": "text/event-stream", **({"last-event-id": self._last} if self._last else {})}
            try:
                answer = await self._ask(self.url, headers=headers)
                kind = (answer.headers.get("content-type") or "").partition(";")[0].strip()
                if answer.status != 200 or kind != "text/event-stream":
                    return self._fail(f"{self.url} answered {answer.status} {kind}")
                await self._dispatch(answer.body)
            except (TypeError, OSError) as error:
                self._error(str(error))
            if self.readyState != self.CLOSED:
                self.readyState = self.CONNECTING
                await asyncio.sleep(self._retry_s)

    async def _dispatch(self, stream: ReadableStream | None) -> None:
        self.readyState = self.OPEN
        self.dispatchEvent(Event("open"))
        async for event in self._events(stream or ReadableStream(b"")):
            self.dispatchEvent(event)
            if self.readyState == self.CLOSED:
                return
        self._error("the answer has ended")

    async def _events(self, stream: ReadableStream) -> AsyncIterator[MessageEvent]:
        data, kind = list[str](), ""
        async for line in _lines(stream):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    yield MessageEvent(kind or "message", data="\n".join(data), lastEventId=self._last)
                data, kind = [], ""
            elif name == "data":
                data.append(value)
            elif name == "event":
                kind = value
            elif name == "id":
                self._last = value
            elif name == "retry" and value.isdigit():
                self._retry_s = int(value) / 1000

    def _error(self, message: str) -> None:
        self.dispatchEvent(ErrorEvent("error", message=message))

    def _fail(self, message: str) -> None:
        self.readyState = self.CLOSED
        self._error(message)


async def _lines(stream: ReadableStream) -> AsyncIterator[str]:
    decoder, rest = codecs.getincrementaldecoder("utf-8-sig")("replace"), ""
    async for chunk in stream:
        text = rest + decoder.decode(to_bytes(chunk))
        held = text.endswith("\r")  # half of a CR LF, maybe
        *whole, rest = (text[:-1] if held else text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        rest += "\r" if held else ""
        for line in whole:
            yield line


__all__ = ["EventSource"]
