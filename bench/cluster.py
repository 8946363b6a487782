"""``python -m bench.cluster``: what replicas cost: the choice of one, the way to one on another machine, and whether
more of them give more.

The engine is ``echo``, paced, so what is measured is Pilotlight's own; the other machine is this one, by way of TLS
over loopback. Ray is no part of it: no request goes through it.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import uvloop

from bench import machine
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


async def compared(spec: EngineSpec, cost: Callable[[Link], Awaitable[float]]) -> tuple[float, float]:
    """Medians of ``ROUNDS``, in turns: by the socketpair, by TLS."""
    near, far, behind = await links(spec)
    for _ in range(ROUNDS):
        for link in (near, far):
            link.costs.append(await cost(link))
    await asyncio.gather(near.client.aclose(), far.client.aclose())
    await behind.aclose()
    return statistics.median(near.costs), statistics.median(far.costs)


async def compare_links() -> None:
    near, far = await compared(SPEC, tokens_cost)
    print(
        f"CPU per token, both ends, {STREAMS} streams: socketpair {near:.1f} µs, TLS {far:.1f} µs: × {far / near:.2f}"
    )
    near, far = await compared(AT_ONCE, first_token)
    print(f"first token: socketpair {near:.2f} ms, TLS {far:.2f} ms: + {far - near:.2f} ms")


async def more_of_them() -> None:
    """Tokens per second of 1, 2 and 4 replicas with 32 streams each."""
    rates = {}
    for number in (1, 2, 4):
        pool = EnginePool(Silent())
        group = pool.get(SPEC, Placement(minimum=number, maximum=number))
        assert isinstance(group, Replicas)
        group.start()
        await asyncio.gather(*(client.serving() for client in group.members.values()))
        began, cpu = time.perf_counter(), time.process_time()
        made = sum(await asyncio.gather(*(read(group, TOKENS, f"s{each}") for each in range(32 * number))))
        rates[number] = made / (time.perf_counter() - began)
        cost = (time.process_time() - cpu) / made * 1e6
        linear = rates[number] / number / rates[1]
        print(f"{number} replicas: {rates[number]:.0f} tokens/s, {linear:.2f} of linear; front {cost:.1f} µs a token")
        await pool.aclose()


# The choice


@dataclass
class Simulated:
    """A replica that remembers the roots and the turns it has seen, as many as fit its cache, in tokens."""

    key: bytes
    load: int = 0
    room: int = 120_000
    cache: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def hit(self, prefixes: Sequence[tuple[str, int]]) -> int:
        """Tokens of the prompt that it has; from here on it has all of them."""
        known = sum(size for name, size in prefixes if name in self.cache)
        for name, size in prefixes:
            self.cache[name] = size
            self.cache.move_to_end(name)
        while sum(self.cache.values()) > self.room:
            self.cache.popitem(last=False)
        return known


def chat_trace() -> None:
    """Chats of six shared system prompts, eleven turns each, interleaved: tokens found in a replica's cache."""
    policies = {"round robin": None, "less busy of two": by_load, "root": by_root}
    for name, policy in policies.items():
        random.seed(7)
        replicas = [Simulated(str(number).encode()) for number in range(4)]
        hits, asked, served, running = 0, 0, Counter[bytes](), []
        turns = [(chat, turn) for chat in range(240) for turn in range(11)]
        for number, (chat, turn) in enumerate(sorted(turns, key=lambda each: (each[1] + random.random() * 3, each[0]))):
            prefixes = [(f"system {chat % 6}", 1500), *((f"{chat}/{each}", 230) for each in range(turn + 1))]
            root = root_of(Generate(messages=[{"role": "system", "content": f"system {chat % 6}"},
                                              {"role": "user", "content": f"chat {chat}"}]))  # fmt: skip
            chosen = (
                replicas[number % 4]
                if policy is None
                else by_load(replicas)
                if policy is by_load
                else by_root(replicas, root)[0]
            )
            hits, asked = hits + chosen.hit(prefixes), asked + sum(size for _, size in prefixes)
            served[chosen.key] += 1
            chosen.load += 1
            running.append(chosen)
            if len(running) > 24:
                running.pop(0).load -= 1
        busiest = max(served.values()) / (sum(served.values()) / 4)
        print(f"chat trace, {name}: {hits / asked:.2f} of the tokens are cached; busiest ÷ mean {busiest:.2f}")


def choice() -> None:
    replicas = [Simulated(str(number).encode(), number) for number in range(8)]
    messages = [{"role": "system", "content": "x" * 6000}, {"role": "user", "content": "y" * 2000}] * 6
    request, times = Generate(messages=messages), 20_000
    best = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(times):
            by_root(replicas, root_of(request))
        best.append((time.process_time() - began) / times * 1e6)
    print(f"choice among 8 replicas: {min(best):.1f} µs")


async def main() -> None:
    choice()
    chat_trace()
    await compare_links()
    await more_of_them()


if __name__ == "__main__":
    uvloop.run(main())
