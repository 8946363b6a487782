"""At another front: an engine of the first one's, which is asked straight from here for as long as a request takes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NoReturn

import msgspec

from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.life import Terminal
from bindings.ai.engine.process import EngineProcess
from bindings.ai.engine.protocol import EngineError, EngineLost, EngineSpec
from bindings.ai.error_table import INTERNAL, TABLE
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placed, Placement
from bindings.base import FirstFront
from runtime import VERSION
from runtime.wire import Channel, ChannelClosed, RemoteError
from runtime.wire.net import Hello, dial_here

KEY = "ai"
IdsOf = Callable[[EngineSpec], Sequence[str]]
_numbers = count(1)


class Leased(EngineProcess):
    """The engine for one request. ``returned()``: it is over."""

    def __init__(self, channel: Channel, returned: Callable[[], None]) -> None:
        super().__init__(lambda line: None)
        self._channel, self.returned = channel, returned

    def kill(self) -> None:
        """The first front's to do."""


class Links:
    """To engines, by the token of each."""

    def __init__(self) -> None:
        self._open: dict[str, Channel] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def to(self, where: Mapping[str, Any]) -> Channel:
        """Raises EngineLost: it listens no more."""
        token: str = where["token"]
        async with self._turns[token]:
            channel = self._open.get(token)
            if channel is None or not channel.is_open:
                self._open = {key: link for key, link in self._open.items() if link.is_open}
                channel = self._open[token] = await _dialled(where)
        return channel

    async def aclose(self) -> None:
        await asyncio.gather(*(channel.aclose() for channel in self._open.values()))


class Borrowed(EngineClient):
    """As the client of a process here; each request asks the first front for it."""

    def __init__(self, spec: EngineSpec, terminal: Terminal, first: FirstFront, links: Links, ids_of: IdsOf) -> None:
        super().__init__(spec, terminal)
        self._first, self._links, self._ids_of = first, links, ids_of

    def start(self) -> None:
        """The first front does, when it is asked."""

    async def serving(self) -> EngineProcess:
        """Raises EngineError."""
        number = next(_numbers)

        def returned() -> None:
            self._first.note(KEY, "returned", number)

        try:
            where = await self._first.ask(KEY, "lease", number, self.spec, self._ids_of(self.spec))
            return Leased(await self._links.to(where), returned)
        except BaseException as error:
            returned()
            if isinstance(error, RemoteError):
                row = TABLE.get(error.fields.get("code", INTERNAL.code), INTERNAL)
                raise EngineError(row, error.message) from None
            if isinstance(error, ChannelClosed | TimeoutError):
                raise EngineLost from None
            raise

    def returned(self, process: EngineProcess | None = None) -> None:
        super().returned()
        assert isinstance(process, Leased)
        process.returned()


class BorrowedEngines:
    """In the place of ``EnginePool``. A model with replicas is the first front's to ask."""

    clients: Sequence[EngineClient] = ()
    groups: Sequence[Replicas] = ()

    def __init__(self, first: FirstFront, terminal: Terminal) -> None:
        self._first, self._terminal, self._links = first, terminal, Links()
        self._engines: dict[bytes, Borrowed] = {}
        self.ids_of: IdsOf = lambda spec: ()  # the models that were asked for

    def get(self, spec: EngineSpec, placement: Placement | None = None) -> Borrowed:
        key = msgspec.json.encode(spec, order="deterministic")
        if (found := self._engines.get(key)) is None:
            found = self._engines[key] = Borrowed(spec, self._terminal, self._first, self._links, self.ids_of)
        return found

    async def reconcile(self, wanted: Iterable[Placed]) -> None:
        """The first front does."""

    async def aclose(self) -> None:
        await self._links.aclose()


async def _dialled(where: Mapping[str, Any]) -> Channel:
    hello = Hello(version=VERSION, token=where["token"])
    try:
        return await dial_here(where["address"], hello, lambda: Channel(_no_calls))
    except (OSError, TimeoutError):
        raise EngineLost from None


async def _no_calls(op: str, args: list[Any]) -> NoReturn:
    raise ValueError("an engine has nothing to ask")


__all__ = ["KEY", "Borrowed", "BorrowedEngines"]
