"""At another front: an engine of the first one's, which is asked straight from here for as long as a request takes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
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
LOST_S = 30.0  # in which a replica that could not be reached from here is the last to be asked
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
    """To engines, by the token of each process."""

    def __init__(self) -> None:
        self._open: dict[str, Channel] = {}
        self._lost: dict[str, float] = {}  # when, by the loop's clock
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def lost(self, token: str) -> bool:
        """It could not be reached from here a moment ago, whatever the first front sees of it."""
        return asyncio.get_running_loop().time() < self._lost.get(token, -LOST_S) + LOST_S

    async def to(self, where: Mapping[str, Any]) -> Channel:
        """Raises EngineLost: it listens no more."""
        token: str = where["token"]
        began = asyncio.get_running_loop().time()
        async with self._turns[token]:
            if self._lost.get(token, 0.0) > began:
                raise EngineLost  # whose turn it was before could not reach it
            channel = self._open.get(token)
            if channel is None or not channel.is_open:
                self._open = {key: link for key, link in self._open.items() if link.is_open}
                self._lost = {key: when for key, when in self._lost.items() if self.lost(key)}
                channel = self._open[token] = await self._dialled(where)
                self._lost.pop(token, None)
        return channel

    async def _dialled(self, where: Mapping[str, Any]) -> Channel:
        """On this machine; or, by ``port``, on a node of a cluster."""
        hello = Hello(version=VERSION, token=where["token"])
        made = partial(Channel, no_calls, on_close=partial(self._lose, hello.token))
        try:
            if "port" not in where:
                return await dial_here(where["address"], hello, made)
            channel = await dial(where["host"], where["port"], where["certificate"], hello, made)
        except (OSError, TimeoutError):
            self._lose(hello.token)
            raise EngineLost from None
        channel.awaited.add(asyncio.create_task(beat(channel)))
        return channel

    def _lose(self, token: str) -> None:
        self._lost[token] = asyncio.get_running_loop().time()

    async def aclose(self) -> None:
        await asyncio.gather(*(channel.aclose() for channel in self._open.values()))


class Lender(NamedTuple):
    """``ids_of``: the models that were asked for."""

    first: FirstFront
    terminal: Terminal
    links: Links
    ids_of: IdsOf


class Borrowed(EngineClient):
    """As the client of a process here; each request asks the first front for it. ``lost``: the replicas that were asked
    before, of those that ``placement`` says; ``root``: of the conversation."""

    def __init__(
        self, spec: EngineSpec, lender: Lender, placement: Placement | None = None, lost: Sequence[int | None] = ()
    ) -> None:
        self._place = Place()
        super().__init__(spec, lender.terminal, room=self._place)
        self._lender, self._placement, self._was_lost = lender, placement, lost
        self.root = b""

    def start(self) -> None:
        """The first front does, when it is asked."""

    async def serving(self) -> EngineProcess:
        """Raises EngineError."""
        lost = list(self._was_lost)
        while True:
            number = next(_numbers)
            returned = partial(self._lender.first.note, KEY, "returned", number)
            try:
                where = await self._lease(number, lost)
                if self.replica in lost or not self._lender.links.lost(where["token"]):
                    return Leased(await self._lender.links.to(where), returned)
            except BaseException as error:
                returned()
                raise _as_engine_error(error) from None
            returned()
            lost.append(self.replica)

    async def _lease(self, number: int, lost: Sequence[int | None]) -> Mapping[str, Any]:
        """Where it is: one of ``lost`` only if there is no other."""
        ids, retried = self._lender.ids_of(self.spec), bool(self._was_lost)
        of = self.spec, self._placement, ids, self.root, lost, retried
        where: Mapping[str, Any] = await self._lender.first.ask(KEY, "lease", number, *of)
        self.replica, self._place.found_on = where["replica"], where["node"]
        return where

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

    async def _candidates(self, lost: Sequence[EngineClient] = ()) -> Sequence[EngineClient]:
        return [Borrowed(self.spec, self._lender, self.placement, [client.replica for client in lost])]

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


def _as_engine_error(error: BaseException) -> BaseException:
    """What the first front says, or that it does not; anything else as it is."""
    if isinstance(error, RemoteError) and not error.fields.get("lost"):
        return EngineError(TABLE.get(error.fields.get("code", INTERNAL.code), INTERNAL), error.message)
    return EngineLost() if isinstance(error, RemoteError | ChannelClosed | TimeoutError) else error


__all__ = ["KEY", "Borrowed", "BorrowedEngines"]
