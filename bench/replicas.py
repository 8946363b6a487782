"""What replicas cost: the choice of one, the way to one on another machine, and whether more of them give more.

The engine is ``echo``, paced, so what is measured is Pilotlight's own; the other machine is this one, by way of TLS
over loopback. Ray is no part of it: no request goes through it.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from bench import machine
from bench.measures import Numbers
from bindings.ai.cluster.remote import Place, launcher
from bindings.ai.cluster.wanted import Address, WantedReplica
from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.process import EngineProcess
from bindings.ai.engine.protocol import EngineSpec, Generate
from bindings.ai.replicas.choice import by_load, by_root, root_of
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placement
from bindings.ai.replicas.pool import EnginePool

RATE, STREAMS, TOKENS, ROUNDS = 50, 128, 150, 3
SPEC = EngineSpec(engine="echo", model="e", options={"rate": RATE, "tokens": 1_000_000})
LINK_TOKEN, LINK_FIRST, CHOICE = "CPU/token µs", "first token ms", "CPU µs"
BY_ROOT, TWO_FRONTS = "by the conversation", "by the conversation, two fronts"
AT_ONCE = EngineSpec(engine="echo", model="e", options={"tokens": 1})


class Silent:
    def warn(self, text: str) -> None:
        print(text)

    def progress(self, what: str, stage: str, fraction: float | None, detail: str = "") -> None: ...

    def progress_done(self, what: str, text: str) -> None: ...


class Beside:
    """An engine that listens here, in place of a cluster's."""

    def __init__(self, where: dict[str, object]) -> None:
        self._where = where

    async def address(self, wanted: WantedReplica, pending: Callable[[str], None]) -> Address:
        return Address(node="here", host="127.0.0.1", **self._where)  # type: ignore[arg-type]

    def release(self, name: str) -> None: ...


@dataclass
class Link:
    """An engine, and a client of it: by the socketpair, or by TLS."""

    client: EngineClient
    engine: EngineProcess
    costs: list[float] = field(default_factory=list)


async def links(spec: EngineSpec) -> tuple[Link, Link, EngineProcess]:
    """By the socketpair, and by TLS to an engine of its own."""
    near = EngineClient(spec, Silent())
    behind = await EngineProcess.start(print)
    await behind.open(spec, lambda stage, fraction: None)
    place = Place()
    wanted = WantedReplica(name="0", spec=spec, gpus=0, linger_s=60, version="bench")
    far = EngineClient(
        spec, Silent(), launch=launcher(Beside(await behind.listen("127.0.0.1", "bench")), wanted, place)
    )
    await asyncio.gather(near.ready(), far.ready())
    return Link(near, await near.serving()), Link(far, behind), behind


async def read(client: EngineClient | Replicas, tokens: int, name: str) -> int:
    async with aclosing(client.generate(Generate(prompt=name, max_tokens=tokens), name)) as deltas:
        return sum([delta.tokens async for delta in deltas])


async def tokens_cost(link: Link) -> float:
    """Microseconds of CPU per token, of both ends."""
    before = time.process_time() + machine.cpu_seconds(link.engine.pid, [])
    made = sum(await asyncio.gather(*(read(link.client, TOKENS, f"s{number}") for number in range(STREAMS))))
    return (time.process_time() + machine.cpu_seconds(link.engine.pid, []) - before) / made * 1e6


async def first_token(link: Link, times: int = 200) -> float:
    """Milliseconds of a request of one token, the median."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        await read(link.client, 1, f"f{number}")
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e3


async def compared(spec: EngineSpec, cost: Callable[[Link], Awaitable[float]]) -> tuple[list[float], list[float]]:
    """``ROUNDS``, in turns: by the socketpair, by TLS."""
    near, far, behind = await links(spec)
    for _ in range(ROUNDS):
        for link in (near, far):
            link.costs.append(await cost(link))
    await asyncio.gather(near.client.aclose(), far.client.aclose())
    await behind.aclose()
    return near.costs, far.costs


async def by_link() -> dict[str, list[Numbers]]:
    tokens = await compared(SPEC, tokens_cost)
    firsts = await compared(AT_ONCE, first_token)
    return {
        name: [{LINK_TOKEN: token, LINK_FIRST: first} for token, first in zip(*each, strict=True)]
        for name, *each in zip(("socketpair", "TLS"), tokens, firsts, strict=True)
    }


async def more_of_them() -> dict[str, list[Numbers]]:
    """Tokens per second of 1, 2 and 4 replicas with 32 streams each."""
    found: dict[str, list[Numbers]] = {}
    one = 0.0
    for number in (1, 2, 4):
        pool = EnginePool(Silent())
        group = pool.get(SPEC, Placement(minimum=number, maximum=number))
        assert isinstance(group, Replicas)
        group.start()
        await asyncio.gather(*(client.serving() for client in group.members.values()))
        began, cpu = time.perf_counter(), time.process_time()
        made = sum(await asyncio.gather(*(read(group, TOKENS, f"s{each}") for each in range(32 * number))))
        rate = made / (time.perf_counter() - began)
        one = one or rate
        cost = (time.process_time() - cpu) / made * 1e6
        found[str(number)] = [{"tokens/s": rate, "of linear": rate / number / one, "front µs/token": cost}]
        await pool.aclose()
    return found


# The choice


CACHE_TOKENS = 160_000  # of a simulated replica: a third of what an 8B in bfloat16 has beside it on 80 GB
ROUTES, IN_HAND, NEWS = 4, 24, 6  # replicas; turns being answered; turns until a front hears of the other's


@dataclass
class Cache:
    """A replica's: the beginnings it has seen, as many as fit, in tokens."""

    known: OrderedDict[str, int] = field(default_factory=OrderedDict)
    served: int = 0

    def hit(self, prefixes: Sequence[tuple[str, int]]) -> int:
        """Tokens of the prompt that it has; from here on it has all of them."""
        found = sum(size for name, size in prefixes if name in self.known)
        for name, size in prefixes:
            self.known[name] = size
            self.known.move_to_end(name)
        while sum(self.known.values()) > CACHE_TOKENS:
            self.known.popitem(last=False)
        self.served += 1
        return found


@dataclass
class Seen:
    """A replica as a front sees it: what it has sent there itself, and what it has heard of the other's."""

    key: bytes
    own: int = 0
    heard: int = 0

    @property
    def load(self) -> int:
        return self.own + self.heard


def chat_trace(policy: str, fronts: int) -> Numbers:
    """Chats of six shared system prompts, eleven turns each, interleaved over the fronts: how much of their tokens is
    found in the chosen replica's cache."""
    random.seed(7)
    caches = [Cache() for _ in range(ROUTES)]
    seen = [[Seen(str(number).encode()) for number in range(ROUTES)] for _ in range(fronts)]
    hits, asked, running = 0, 0, list[Seen]()
    turns = [(chat, turn) for chat in range(240) for turn in range(11)]
    for number, (chat, turn) in enumerate(sorted(turns, key=lambda each: (each[1] + random.random() * 3, each[0]))):
        mine = seen[random.randrange(fronts)]
        if number % NEWS == 0:
            tell(seen)
        chosen = choose(policy, mine, chat, number)
        prefixes = [(f"system {chat % 6}", 1500), *((f"{chat}/{each}", 230) for each in range(turn + 1))]
        hits += caches[mine.index(chosen)].hit(prefixes)
        asked += sum(size for _, size in prefixes)
        chosen.own += 1
        running.append(chosen)
        if len(running) > IN_HAND:
            running.pop(0).own -= 1
    return {"cached": hits / asked, "busiest ÷ mean": max(each.served for each in caches) / (len(turns) / ROUTES)}


def tell(fronts: list[list[Seen]]) -> None:
    """Each front hears what the others have in hand."""
    for views in zip(*fronts, strict=True):
        for view in views:
            view.heard = sum(other.own for other in views if other is not view)


def choose(policy: str, replicas: list[Seen], chat: int, number: int) -> Seen:
    if policy == "round robin":
        return replicas[number % len(replicas)]
    if policy == "less busy of two":
        return by_load(replicas)
    said = [("system", f"system {chat % 6}"), ("user", f"chat {chat}")]
    return by_root(replicas, root_of(Generate(messages=[{"role": role, "content": text} for role, text in said])))[0]


def chats() -> dict[str, list[Numbers]]:
    found = {name: [chat_trace(name, 1)] for name in ("round robin", "less busy of two", BY_ROOT)}
    return {**found, TWO_FRONTS: [chat_trace(BY_ROOT, 2)]}


def choice() -> list[Numbers]:
    replicas = [Seen(str(number).encode(), number) for number in range(8)]
    messages = [{"role": "system", "content": "x" * 6000}, {"role": "user", "content": "y" * 2000}] * 6
    request, times = Generate(messages=messages), 20_000
    costs = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            by_root(replicas, root_of(request))
        costs.append({CHOICE: (time.process_time() - began) / times * 1e6})
    return costs
