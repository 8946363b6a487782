"""A deployment: one version of one worker, its bindings, and the isolate that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bindings.base import Binding
from runtime.config import Config
from runtime.errors import ScriptError
from runtime.supervisor.broker import Broker
from runtime.supervisor.exchange import INLINE_LIMIT, Exchange
from runtime.supervisor.heads import check_size, host
from runtime.supervisor.isolates import GRACE, Child, Spawner
from runtime.supervisor.outbound import FetchError, Outbound
from runtime.wire import Channel, ChannelClosed, RemoteError

_LOADING = 60.0  # seconds a script may take to import


@dataclass(frozen=True)
class Parts:
    """What every deployment is made of, besides its configuration."""

    spawner: Spawner
    outbound: Outbound
    tell: Any  # Callable[[str, str, str], None]: (worker, stream, line)


class Process:
    """A running isolate with the broker that serves it."""

    def __init__(self, child: Child, channel: Channel, broker: Broker) -> None:
        self.child, self.channel, self.broker = child, channel, broker
        self._watch = asyncio.create_task(self._see_end())

    @property
    def alive(self) -> bool:
        return not self.channel.closed.is_set()

    async def aclose(self) -> str:
        """Let it end of its own accord, then make sure. How it ended, in words."""
        await self.channel.aclose()
        try:
            async with asyncio.timeout(GRACE):
                return await self.child.ended()
        except TimeoutError:
            self.child.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                return await self.child.ended()
        return "killed"  # and nobody is left to tell of it

    async def _see_end(self) -> None:
        """A process that forked leaves its end of the channel open in its children: it is gone all the same."""
        await self.child.ended()
        self.channel.abort()

    async def kill(self) -> str:
        """Nothing in it is worth waiting for."""
        self.child.kill()
        return await self.aclose()


class Deployment:
    """Open it, ``fetch`` through it, ``retire`` it: its requests and ``waitUntil`` tasks finish first."""

    def __init__(self, version: int, config: Config, bindings: Sequence[Binding], parts: Parts) -> None:
        self.version, self.config, self.bindings = version, config, bindings
        self._parts = parts
        self._process: Process | None = None
        self._reviving = asyncio.Lock()
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def open(self) -> None:
        """Start an isolate with this version's code. Raises ``ScriptError`` when the script does not load."""
        self._process = await self._begin()

    async def fetch(self, exchange: Exchange) -> None:
        """Serve one request, start to end."""
        self._active += 1
        self._idle.clear()
        try:
            process = await self._serving()
            await self._exchange(process, exchange)
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()

    async def retire(self) -> None:
        """Let go once everything this version began is done."""
        await self._idle.wait()
        if self._process is not None and self._process.alive:
            with contextlib.suppress(ChannelClosed, RemoteError, TimeoutError):
                async with asyncio.timeout(self.config.pilot.wait_until + GRACE):  # a blocked isolate never answers
                    await self._process.channel.call("drain")
        await self.aclose()

    async def aclose(self) -> None:
        if self._process is not None:
            await self._process.aclose()

    async def _exchange(self, process: Process, exchange: Exchange) -> None:
        inbound, body, handle = exchange.inbound, None, None
        if not inbound.done:
            if inbound.length is not None and inbound.length <= INLINE_LIMIT:
                body = await inbound.whole()
            else:
                handle = process.channel.offer(inbound.chunks())
        process.broker.exchanges[exchange.number] = exchange
        exchange.watch()
        try:
            answer = await process.channel.call("fetch", *_event(exchange), body, handle, {})
            await exchange.answer(answer[0], _pairs(answer[2]), _body(process, answer[3], exchange))
        except ChannelClosed:
            raise await self._died(process) from None
        except RemoteError as error:
            raise (inbound.lost() or script_error(error)) from None
        except FetchError as error:  # a fetched answer that passed through broke off
            raise ScriptError(f"{error}, half-way") from None
        except asyncio.CancelledError:
            for number in exchange.lent:
                process.channel.discard(number)
            raise
        finally:
            exchange.unwatch()
            del process.broker.exchanges[exchange.number]

    async def _serving(self) -> Process:
        """The isolate; a new one with the same code if it has died."""
        if self._process is not None and self._process.alive:
            return self._process
        async with self._reviving:
            if self._process is None or not self._process.alive:
                self._process = await self._begin()
            return self._process

    async def _begin(self) -> Process:
        process = await self._start()
        try:
            async with asyncio.timeout(_LOADING):
                packages = await process.channel.call("load", self._boot())
        except BaseException as error:
            raise self._not_loaded(error, await process.kill()) from None
        self._parts.spawner.preload([str(self.config.root / "python_modules")], packages)
        return process

    async def _start(self) -> Process:
        ours, theirs = socket.socketpair()
        broker = Broker({binding.name: binding for binding in self.bindings}, self._parts.outbound)
        try:
            child = await self._parts.spawner.spawn(theirs, self._tell)
        except BaseException:
            ours.close()  # if a process began all the same, this ends it
            raise
        channel = broker.channel = await Channel.open(ours, broker)
        return Process(child, channel, broker)

    def _boot(self) -> dict[str, Any]:
        table = [[binding.name, binding.client, dict(binding.client_args)] for binding in self.bindings]
        main, root = str(self.config.main), str(self.config.root)
        return {"main": main, "root": root, "bindings": table, "wait_until": self.config.pilot.wait_until}

    def _not_loaded(self, error: BaseException, ended: str) -> BaseException:
        if isinstance(error, RemoteError):
            return script_error(error)
        if isinstance(error, ChannelClosed):
            what = f"the worker's process ended while the script was imported: {ended}"
            return ScriptError(what, where=str(self.config.main))
        if isinstance(error, TimeoutError):
            return ScriptError(f"importing the script took more than {_LOADING:g} s", where=str(self.config.main))
        return error

    async def _died(self, process: Process) -> ScriptError:
        how = await process.aclose()
        return ScriptError(f"the worker's process ended: {how}. The next request starts a new one")

    def _tell(self, stream: str, line: str) -> None:
        self._parts.tell(self.config.name, stream, line)


def script_error(error: RemoteError) -> ScriptError:
    """The script's exception as it came over the channel."""
    known = {key: str(error.fields.get(key, "")) for key in ("where", "remedy", "trace")}
    what = error.message if error.name == "ScriptError" else f"{error.name}: {error.message}"
    return ScriptError(what, **known)


def _event(exchange: Exchange) -> tuple[int, str, str, Any]:
    scope = exchange.scope
    headers, query = scope["headers"], scope["query_string"]
    check_size(headers)
    url = f"{scope['scheme']}://{host(scope)}{scope['raw_path'].decode('latin-1')}"
    if query:
        url += "?" + query.decode("latin-1")
    return exchange.number, exchange.method, url, headers


def _pairs(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers]


def _body(process: Process, body: Any, exchange: Exchange) -> Any:
    """A body that is ours already is not fetched: its source comes out of the channel's keeping."""
    if body is None or isinstance(body, bytes):
        return body
    owner, number = body
    if owner == "mine":
        return process.channel.read(number)
    source = process.channel.adopt(number)
    if source is None:
        raise ScriptError("the response's stream was already used", remedy="Return a stream to one response only.")
    exchange.uses(source)
    return source
