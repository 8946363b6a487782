"""Several processes of one model as one engine: ``EngineClient``'s interface over the replicas of a row.

Theory of operation
-------------------
``wanted`` says how many there should be: the members with a lower index are asked, the others go once nobody needs
them, asleep where their engine can sleep. A request raises it from none, ``Demand`` moves it with the load between
the row's least and most, and a model that finds no room lowers it (``pool``). A member has its states from
``EngineLife``; it restarts, fails and wakes by itself.

A request goes to the member that ``choice`` names. If that is lost before anything of the answer was told, another
member is asked, once, and nobody sees it; afterwards the answer breaks off as it does with one process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from bindings.ai.engine import tasks
from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.delta_stream import DeltaStream, Sink
from bindings.ai.engine.life import Changed
from bindings.ai.engine.protocol import (
    Delta,
    EngineInfo,
    EngineLost,
    EngineSpec,
    Generate,
    ModelUnavailable,
    StillLoading,
)
from bindings.ai.replicas.choice import by_load, by_root, root_of
from bindings.ai.replicas.demand import TICK_S, Demand
from bindings.ai.replicas.placement import Placement
from runtime.tracing import current

MakeReplica = Callable[[int, Changed], EngineClient]
OVER = ("failed", "closed")


class Replicas:
    """``make(index, changed)`` gives a member that has not begun. ``retries``: requests asked of a second one."""

    def __init__(self, spec: EngineSpec, placement: Placement, make: MakeReplica, *, load_timeout: float) -> None:
        self.spec, self.placement, self._make, self._load_timeout = spec, placement, make, load_timeout
        self.members: dict[int, EngineClient] = {}
        self.wanted = self.retries = self.passed = self._waiting = 0
        self.leaving: dict[int, asyncio.Task[None]] = {}
        self.is_closed = False
        self._demand = Demand(placement)
        self._turn = asyncio.Event()  # set, and replaced, when a member's state has changed
        self._scaler: asyncio.Task[None] | None = None

    # What a client shows

    @property
    def name(self) -> str:
        return f"{self.spec.engine}: {self.spec.model}"

    @property
    def state(self) -> str:
        """That of the member which is farthest."""
        states = [client.state for client in self.members.values()]
        order = ("ready", "restarting", "waking", "loading", "pending", "failed", "asleep")
        return "closed" if self.is_closed else next((state for state in order if state in states), "idle")

    @property
    def live(self) -> int:
        return sum(client.live for client in self.members.values())

    @property
    def load(self) -> int:
        """Requests in hand, or that wait for a member."""
        return self._waiting + sum(client.load for client in self.members.values())

    @property
    def is_in_use(self) -> bool:
        return self.load > 0

    @property
    def info(self) -> EngineInfo | None:
        return next((client.info for client in self.members.values() if client.info), None)

    # What a client does

    def start(self) -> None:
        """Begin to load what the row always wants, and one at least."""
        if self.is_closed:
            return
        self._want(max(self.wanted, self.placement.minimum, 1))

    async def ready(self) -> EngineInfo:
        """Wait until one of them can answer. Raises ModelUnavailable or StillLoading."""
        client = (await self._candidates())[0]
        assert client.info is not None
        return client.info

    def generate(self, request: Generate, request_id: str) -> ReplicaStream:
        """As ``EngineClient.generate``."""
        origin = ReplicaOrigin()
        return ReplicaStream(self._deltas(origin, request, request_id), origin)

    async def _deltas(self, origin: ReplicaOrigin, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        lost, begun, root = list[EngineClient](), False, root_of(request) if self.placement.maximum > 1 else b""
        while True:
            client = self._chosen(await self._candidates(lost), root)
            try:
                origin.stream = DeltaStream(client, request, request_id, origin.span)
                async with aclosing(origin.stream) as deltas:
                    async for delta in deltas:
                        if not delta.is_empty:
                            origin.has_told = True
                        elif begun:
                            continue  # a second member has taken the request: said already
                        begun = True
                        yield delta
                return
            except EngineLost:
                if lost or origin.has_told:
                    raise
                lost.append(client)
                self.retries += 1

    async def perform(self, task: tasks.Task, request_id: str) -> Any:
        """As ``EngineClient.perform``, of the less busy of two."""
        client = by_load(await self._candidates())
        try:
            return await client.perform(task, request_id)
        except EngineLost:
            self.retries += 1
            return await by_load(await self._candidates([client])).perform(task, request_id)

    async def lendable(self, root: bytes, lost: Sequence[int], retried: bool) -> EngineClient:
        """The member that another front is to ask. ``root``: of the conversation, if any; ``lost``: those that it
        cannot reach; ``retried``: one of them was asked for this request."""
        self.retries += retried
        found = await self._candidates([self.members[index] for index in lost if index in self.members])
        return self._chosen(found, root) if root else by_load(found)

    async def aclose(self) -> None:
        """End every process."""
        self.is_closed = True
        self._changed()
        tasks = [*self.leaving.values(), *([self._scaler] if self._scaler else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*(client.aclose() for client in self.members.values()), *tasks, return_exceptions=True)

    # Which one answers

    def _chosen(self, candidates: Sequence[EngineClient], root: bytes) -> EngineClient:
        if len(candidates) == 1:
            return candidates[0]
        chosen, was_first = by_root(candidates, root)
        self.passed += not was_first
        return chosen

    async def _candidates(self, lost: Sequence[EngineClient] = ()) -> Sequence[EngineClient]:
        """Those that can answer now; waits for the first. What has just been lost is the last to be asked."""
        self.start()
        if found := self._ready(lost):
            return found
        self._waiting += 1
        try:
            async with asyncio.timeout(self._load_timeout):
                return await self._first_ready(lost)
        except TimeoutError:
            detail = next((client.room.detail for client in self.members.values() if client.room.detail), "")
            raise StillLoading(self.name, self._load_timeout, detail) from None
        finally:
            self._waiting -= 1

    async def _first_ready(self, lost: Sequence[EngineClient]) -> Sequence[EngineClient]:
        while not (found := self._ready(lost) or self._ready()):
            active = [client for index, client in self.members.items() if index < self.wanted]
            if self.is_closed or (active and all(client.state in OVER for client in active)):
                errors = [str(client.error) for client in active if client.error]
                raise ModelUnavailable(errors[0] if errors else f"{self.name} is closed")
            await self._turn.wait()
        return found

    def _ready(self, without: Sequence[EngineClient] = ()) -> Sequence[EngineClient]:
        return [
            client
            for index, client in self.members.items()
            if index < self.wanted and client.state == "ready" and client not in without
        ]

    def _changed(self) -> None:
        self._turn.set()
        self._turn = asyncio.Event()

    # How many there are

    async def _scale(self) -> None:
        while self._moves:
            await asyncio.sleep(TICK_S)
            self._want(self._demand.wanted(time.monotonic(), self.load, self.wanted))
        self._scaler = None

    @property
    def _moves(self) -> bool:
        """There may be more or fewer, or some have yet to go."""
        beyond = (client for index, client in self.members.items() if index >= self.wanted)
        return self.placement.minimum < self.placement.maximum or any(each.state != "asleep" for each in beyond)

    def resize(self, placement: Placement) -> None:
        """Another least and most, from here on."""
        if placement == self.placement:
            return
        self.placement, self._demand = placement, Demand(placement)
        if self.wanted:
            self._want(min(max(self.wanted, placement.minimum), placement.maximum))

    def _want(self, number: int) -> None:
        """Have the first ``number``; the others go as soon as nobody needs them."""
        self.wanted = number
        for index in range(number):
            if index not in self.leaving:
                self._member(index).start()
        for index in [index for index in self.members if index >= number]:
            self.let_go(index)
        if self._scaler is None and self._moves:
            self._scaler = asyncio.create_task(self._scale())

    def _member(self, index: int) -> EngineClient:
        if index not in self.members:
            self.members[index] = self._make(index, self._changed)
            self.members = dict(sorted(self.members.items()))
        return self.members[index]

    def displaced(self, index: int) -> None:
        """This member and those after it make way for another model."""
        self.wanted = min(self.wanted, index)
        self._want(self.wanted)

    def let_go(self, index: int) -> None:
        """It sleeps, or ends. Nothing happens while it is in use, or where it does so already."""
        client = self.members[index]
        if client.is_in_use or client.state in ("asleep", "waking") or index in self.leaving:
            return
        self.leaving[index] = task = asyncio.create_task(self._leave(index, client))
        task.add_done_callback(lambda _: self._left(index))

    async def _leave(self, index: int, client: EngineClient) -> None:
        if not await client.rest() and not client.is_in_use:
            await self.end(index)

    def _left(self, index: int) -> None:
        self.leaving.pop(index, None)
        if index < self.wanted and not self.is_closed:  # somebody came meanwhile
            self._member(index).start()

    async def end(self, index: int) -> None:
        """Its process, asleep or not."""
        client = self.members.pop(index)
        await client.aclose()
        self._changed()


class ReplicaOrigin:
    """Where the deltas of one request come from. ``has_told``: something of the answer has left, so that nobody may
    begin it anew."""

    def __init__(self) -> None:
        self.span = current.get()
        self.stream: DeltaStream | None = None
        self.has_told = False


class ReplicaStream:
    """As ``DeltaStream``. What goes past its reader has been told as well."""

    def __init__(self, deltas: AsyncGenerator[Delta, None], origin: ReplicaOrigin) -> None:
        self._deltas, self._origin = deltas, origin
        self.aclose = deltas.aclose

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self._deltas  # no layer per delta

    async def __anext__(self) -> Delta:
        return await self._deltas.__anext__()

    def attach_sink(self, take: Sink) -> None:
        if self._origin.stream is not None:
            self._origin.has_told = True  # what is told past this one is not seen here
            self._origin.stream.attach_sink(take)


__all__ = ["Replicas"]
