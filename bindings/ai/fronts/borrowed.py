"""At another front: an engine of the first one's, which is asked straight from here for as long as a request takes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import msgspec

from bindings.ai.cluster.remote import Place, beat
from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.life import Changed, Terminal
from bindings.ai.engine.process import EngineProcess
from bindings.ai.engine.protocol import EngineError, EngineLost, EngineSpec
from bindings.ai.error_table import INTERNAL, TABLE
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placed, Placement
from bindings.base import FirstFront
from runtime import VERSION
from runtime.wire import Channel, ChannelClosed, RemoteError, no_calls
from runtime.wire.net import Hello, dial, dial_here

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


class Lender(NamedTuple):
    """``ids_of``: the models that were asked for."""

    first: FirstFront
    terminal: Terminal
    links: Links
    ids_of: IdsOf


class Borrowed(EngineClient):
    """As the client of a process here; each request asks the first front for it. ``lost``: the replica that was asked
    before, of those that ``placement`` says; ``root``: of the conversation."""

    def __init__(
        self, spec: EngineSpec, lender: Lender, placement: Placement | None = None, lost: int | None = None
    ) -> None:
        self._place = Place()
        super().__init__(spec, lender.terminal, room=self._place)
        self._lender, self._placement, self._was_lost = lender, placement, lost
        self.root = b""

    def start(self) -> None:
        """The first front does, when it is asked."""

    async def serving(self) -> EngineProcess:
        """Raises EngineError."""
        number = next(_numbers)
        first, ids = self._lender.first, self._lender.ids_of(self.spec)

        def returned() -> None:
            first.note(KEY, "returned", number)

        try:
            where = await first.ask(KEY, "lease", number, self.spec, self._placement, ids, self.root, self._was_lost)
            self.replica, self._place.found_on = where["replica"], where["node"]
            return Leased(await self._lender.links.to(where), returned)
        except BaseException as error:
            returned()
            if isinstance(error, RemoteError) and not error.fields.get("lost"):
                row = TABLE.get(error.fields.get("code", INTERNAL.code), INTERNAL)
                raise EngineError(row, error.message) from None
            if isinstance(error, RemoteError | ChannelClosed | TimeoutError):
                raise EngineLost from None
            raise

    def returned(self, process: EngineProcess | None = None) -> None:
        super().returned()
        assert isinstance(process, Leased)
        process.returned()


class BorrowedReplicas(Replicas):
    """Each request asks the first front for one of them, and for another if that is lost too early."""

    def __init__(self, spec: EngineSpec, placement: Placement, lender: Lender) -> None:
        super().__init__(spec, placement, self._made, load_timeout=0)
        self._lender = lender

    def _made(self, index: int, changed: Changed) -> EngineClient:
        raise NotImplementedError("the first front has them")

    def start(self) -> None:
        """The first front does, when it is asked."""

    async def _candidates(self, lost: EngineClient | None) -> Sequence[EngineClient]:
        return [Borrowed(self.spec, self._lender, self.placement, lost.replica if lost else None)]

    def _chosen(self, candidates: Sequence[EngineClient], root: bytes) -> EngineClient:
        [client] = candidates
        assert isinstance(client, Borrowed)
        client.root = root
        return client


class BorrowedEngines:
    """In the place of ``EnginePool``."""

    clients: Sequence[EngineClient] = ()
    groups: Sequence[Replicas] = ()

    def __init__(self, first: FirstFront, terminal: Terminal) -> None:
        self._links = Links()
        self._lender = Lender(first, terminal, self._links, lambda spec: ())
        self._engines: dict[bytes, Borrowed] = {}

    def name_by(self, ids_of: IdsOf) -> None:
        """The models that were asked for, by the spec of their engine."""
        self._lender = self._lender._replace(ids_of=ids_of)

    def get(self, spec: EngineSpec, placement: Placement | None = None) -> Borrowed | BorrowedReplicas:
        if placement is not None:
            return BorrowedReplicas(spec, placement, self._lender)
        key = msgspec.json.encode(spec, order="deterministic")
        if (found := self._engines.get(key)) is None:
            found = self._engines[key] = Borrowed(spec, self._lender)
        return found

    async def reconcile(self, wanted: Iterable[Placed]) -> None:
        """The first front does."""

    async def aclose(self) -> None:
        await self._links.aclose()


async def _dialled(where: Mapping[str, Any]) -> Channel:
    """On this machine; or, by ``port``, on a node of a cluster."""
    hello = Hello(version=VERSION, token=where["token"])
    try:
        if "port" not in where:
            return await dial_here(where["address"], hello, _channel)
        channel = await dial(where["host"], where["port"], where["certificate"], hello, _channel)
    except (OSError, TimeoutError):
        raise EngineLost from None
    beats = asyncio.create_task(beat(channel))
    channel.awaited.add(beats)
    return channel


def _channel() -> Channel:
    return Channel(no_calls)


__all__ = ["KEY", "Borrowed", "BorrowedEngines"]
