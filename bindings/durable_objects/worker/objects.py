"""The process that has a worker's objects: what the supervisor calls it for.

``fetch`` and ``alarm``, each ``[class, id, name, ...]``, and ``call``. An object is made by the first event that asks
for it, and goes once nothing of it has gone on for a while.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.msgpack import Ext

from bindings.durable_objects.ids import DurableObjectId
from bindings.durable_objects.storage.values import cloned, read
from bindings.durable_objects.worker.errors import OVERLOADED
from bindings.durable_objects.worker.instance import Instance
from bindings.messages import CallError
from runtime.isolate.calls.packing import Table
from runtime.isolate.remote import Caller, HandleStream, current_event, fits_inline, reference
from runtime.isolate.script.entrypoints import entrypoints
from runtime.isolate.script.errors import report, summary
from runtime.isolate.script.handlers import parameter_count, respond
from runtime.isolate.script.raw import ParsedRequest
from runtime.isolate.serving.bodies import ScriptStream
from runtime.isolate.serving.sockets import SocketLink, answered
from runtime.isolate.serving.worker import Worker
from runtime.values import from_wire, stream_named
from runtime.web import Response
from runtime.web.scope import current_env
from runtime.web.sockets import ArrayBuffer, WebSocket

ALARMS = ".durable_objects"  # the binding that has the clock
_ID = re.compile(r"[0-9a-f]{64}")
_SWEEP_S = 1.0
_MAX_EVENTS = 4000  # of one object, waiting ones among them
_RESERVED = ("alarm", "connect", "webSocketClose", "webSocketError", "webSocketMessage")


WebSocket.clone = cloned, read


class Objects:
    """``folders``: class → where its objects' files are. ``idle_s``: until one goes; ``most``: that are in memory, as
    long as one of them rests."""

    def __init__(self, worker: Worker, folders: Mapping[str, str], idle_s: float, most: int) -> None:
        self._worker, self._folders, self._idle_s, self._most = worker, folders, idle_s, most
        self._classes = entrypoints(worker.script)
        self._clock = Caller(worker.channel, ALARMS)
        self._instances: dict[tuple[str, str], Instance] = {}
        self._closing: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._methods: dict[str, Callable[..., Awaitable[list[Any]]]] = {
            "fetch": self._fetch, "alarm": self._alarm, "webSocketMessage": self._message,
            "webSocketClose": self._closed, "webSocketError": self._error,
        }  # fmt: skip
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    async def __call__(self, event: int, method: str, args: list[Any]) -> list[Any]:
        current_event.set(event)
        current_env.set(self._worker.env)
        return await self._methods[method](*args)

    async def aclose(self) -> None:
        """Everything that was committed is on the disk, and every file closed."""
        self._sweeping.cancel()
        for key in list(self._instances):
            self._let_go(key)
        if self._closing:
            await asyncio.wait(self._closing.values())

    # What it is asked for

    async def _fetch(
        self, name: str, id: str, label: str | None, method: str, url: str, headers: list[Any], body: object
    ) -> list[Any]:
        instance = await self._instance(name, id, label)
        source = HandleStream(self._worker.channel.read(stream_named(body)[1])) if type(body) is Ext else body
        request = ParsedRequest.from_parts(method, url, headers, source, {})  # type: ignore[arg-type]

        async def work(found: Any) -> Any:
            handler = getattr(found, "fetch", None)
            if handler is None:
                raise CallError("TypeError", "Handler does not export a fetch() function.", remote=True)
            return respond(await _result(handler(*(request, None, None)[: parameter_count(handler)])))

        response = await instance.deal(work)
        if response.web_socket is not None:
            return self._with_socket(instance, name, response)
        return self._answer(instance, *response.to_parts())

    async def call(
        self, event: int, name: str, id: str, method: str, payload: bytes, table: Table, props: Mapping[str, Any]
    ) -> tuple[bytes, Table]:
        """As of ``runtime.isolate.serving.calls``: (payload, table) of what a method of the object returns."""
        current_event.set(event)
        current_env.set(self._worker.env)
        instance, line = await self._instance(name, id, props.get("name")), self._worker.line

        async def work(found: Any) -> tuple[bytes, Table]:
            args = line.unpack(payload, table)
            return line.pack(await _result(_method(found, method)(*args)))

        return await instance.deal(work)

    async def _alarm(self, name: str, id: str, label: str | None, retries: int, last: bool, now: int) -> list[Any]:
        """``["ran" | "none", when it is due next]`` or ``["failed", when, with what]``. ``last``: there is no next try;
        ``now``: in ms."""
        instance = await self._instance(name, id, label)
        file = instance.file
        due = file.alarm if file.exists and file.sqlite else None
        if due is None or due > now:
            return ["value", ["none", due]]

        async def work(found: Any) -> list[str]:
            handler = getattr(found, "alarm", None)
            if handler is None:
                raise CallError("TypeError", "Handler does not export an alarm() function.")
            info = from_wire({"retryCount": retries, "isRetry": retries > 0, "scheduledTime": due})
            instance.ring()
            try:
                await _result(handler(*(info,)[: parameter_count(handler)]))
            except Exception as error:
                report(f"{name}.alarm failed", error)
                if instance.rang() and last:
                    file.set_alarm(None)
                return [summary(error)]
            if instance.rang():
                file.set_alarm(None)
            return []

        failed = await instance.deal(work)
        return ["value", ["failed" if failed else "ran", file.alarm, *failed]]

    # Sockets

    async def _message(self, name: str, id: str, label: str | None, number: int, content: str | bytes) -> list[Any]:
        message = content if isinstance(content, str) else ArrayBuffer(content)
        return await self._socket_event("webSocketMessage", name, id, label, number, message)

    async def _closed(
        self, name: str, id: str, label: str | None, number: int, code: int, reason: str, clean: bool
    ) -> list[Any]:
        return await self._socket_event("webSocketClose", name, id, label, number, code, reason, clean)

    async def _error(self, name: str, id: str, label: str | None, number: int, error: str) -> list[Any]:
        return await self._socket_event("webSocketError", name, id, label, number, Exception(error))

    async def _socket_event(
        self, method: str, name: str, id: str, label: str | None, number: int, *args: Any
    ) -> list[Any]:
        """What its handler raises is told, and nothing else comes of it: its text is the answer."""
        instance = await self._instance(name, id, label)

        async def work(found: Any) -> str | None:
            socket, failed = instance.sockets.find(number), None
            if socket is None:
                return None
            if method == "webSocketClose":
                socket.ends(args[2])
            handler = getattr(found, method, None)
            if handler is not None:
                try:
                    await _result(handler(*(socket, *args)[: parameter_count(handler)]))
                except Exception as error:
                    report(f"{name}.{method} failed", error)
                    failed = summary(error)
            if isinstance(socket.link, SocketLink):
                await socket.link.settled()
            if method == "webSocketClose":
                instance.sockets.forget(socket)
            return failed

        return ["value", await instance.deal(work)]

    def _with_socket(self, instance: Instance, name: str, response: Response) -> list[Any]:
        socket = response.web_socket
        assert socket is not None
        status, text, headers, _ = response.to_parts()
        meta: dict[str, Any] = {"head": [status, text, headers]}
        event, peer = current_event.get(), socket.peer
        if peer is not None and instance.sockets.has(peer):
            number = answered(self._worker.channel, event, socket, partial(instance.sockets.forget, peer))
            meta["hold"] = instance.sockets.kept(peer, instance.id.name, event)
        else:
            instance.events += 1  # it stays in memory while its socket is open
            number = answered(self._worker.channel, event, socket, partial(_ended, instance))
        return ["socket", number, meta]

    # Answers

    def _answer(self, instance: Instance, status: int, text: str, headers: list[Any], body: Any) -> list[Any]:
        head = [status, text, headers]
        if body is None or fits_inline(body):
            return ["value", [*head, body]]
        if not isinstance(body, HandleStream | bytes):
            instance.events += 1
            body = ScriptStream(_kept(instance, body), partial(_ended, instance))
        return ["stream", *reference(self._worker.channel, body), {"head": head}]

    # Objects come and go

    async def _instance(self, name: str, id: str, label: str | None) -> Instance:
        key = name, id
        while (instance := self._instances.get(key)) is None:
            if (closing := self._closing.get(key)) is not None:
                await asyncio.wait([closing])
            else:
                instance = self._instances[key] = self._made(name, id, label)
        if (waits := instance.file.going_back()) is not None:
            instance.events += 1  # or it might be let go of meanwhile
            try:
                await waits
            finally:
                instance.events -= 1
        if instance.events >= _MAX_EVENTS:
            raise CallError("Error", OVERLOADED, overloaded=True, remote=True)
        instance.used = time.monotonic()
        return instance

    def _made(self, name: str, id: str, label: str | None) -> Instance:
        if (cls := self._classes.get(name)) is None or not _ID.fullmatch(id):
            raise CallError("TypeError", f"the script has no Durable Object class {name!r}", remote=True)
        if name not in self._folders:
            raise CallError("Error", f"the objects of {name!r} are another worker's by now", remote=True)
        path = Path(self._folders[name], f"{id}.sqlite")
        ring = partial(self._clock.call, "ring", name, id, label)
        return Instance(self._worker, cls, DurableObjectId(id, label), path, ring, self._gone)

    def _gone(self, instance: Instance) -> None:
        """It is reset."""
        for key, found in list(self._instances.items()):
            if found is instance:
                self._let_go(key)

    def _let_go(self, key: tuple[str, str]) -> None:
        instance = self._instances.pop(key)
        instance.sockets.let_go()
        task = asyncio.ensure_future(instance.file.aclose())
        self._closing[key] = task
        task.add_done_callback(lambda _: self._closing.pop(key))

    def _sweep(self) -> None:
        """Those that rest go; where there are too many, those that have rested longest go at once."""
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)
        until = time.monotonic() - self._idle_s
        resting = [(found.used, key) for key, found in self._instances.items() if found.idle]
        surplus = len(self._instances) - self._most
        for number, (used, key) in enumerate(sorted(resting)):
            if used < until or number < surplus:
                self._let_go(key)


def _method(found: Any, name: str) -> Any:
    """What may be called from outside. Raises CallError."""
    if name in _RESERVED:
        text = f"'{name}' is a reserved method and cannot be called over RPC."
        raise CallError("TypeError", text, remote=True)
    if name.startswith("__") or not callable(getattr(type(found), name, None)):
        raise CallError("TypeError", f"Method {name} does not exist", remote=True)
    return getattr(found, name)


async def _result(value: Any) -> Any:
    while hasattr(value, "__await__"):  # of a method that returns one unawaited, too
        value = await value
    return value


async def _kept(instance: Instance, body: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Each chunk leaves once what it may rest on is on the disk."""
    async for chunk in body:
        if (waits := instance.file.kept()) is not None:
            await waits
        yield chunk


def _ended(instance: Instance) -> None:
    instance.events -= 1
    instance.used = time.monotonic()


__all__ = ["ALARMS", "Objects"]
