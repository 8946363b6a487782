"""A replica on another machine, but for the machine: an engine that listens, and supervisors that dial it. No Ray."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import psutil
import pytest

from bindings.ai.cluster.remote import Place, launcher
from bindings.ai.cluster.wanted import Address, WantedReplica
from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.process import EngineProcess
from bindings.ai.engine.protocol import EngineError, EngineLost, EngineSpec, Generate, ModelUnavailable
from engines_support import collect, until
from models_support import Said, text_of
from runtime.wire import Channel, RemoteError, no_calls
from runtime.wire.net import Hello, dial

SPEC = EngineSpec(engine="echo", model="e", options={"rate": 50, "tokens": 100_000, "context_window": 200_000})
ASK = Generate(prompt="where is new york?", max_tokens=100_000)


@dataclass
class Beside:
    """The engine, in place of a cluster's actor."""

    engine: EngineProcess
    told: Address
    released: list[str] = field(default_factory=list)

    async def address(self, wanted: WantedReplica, pending: Callable[[str], None]) -> Address:
        return self.told

    def release(self, name: str) -> None:
        self.released.append(name)

    def client(self, said: Said | None = None, version: str = "1") -> EngineClient:
        place = Place()
        wanted = WantedReplica(name="pilot/e/0", spec=SPEC, gpus=0, linger_s=60, version=version)
        return EngineClient(SPEC, said or Said(), launch=launcher(self, wanted, place), room=place, load_timeout=30)


@asynccontextmanager
async def listening() -> AsyncIterator[Beside]:
    engine = await EngineProcess.start(print)
    await engine.open(SPEC, lambda stage, fraction: None)
    yield Beside(engine, Address(node="here", host="127.0.0.1", **await engine.listen("127.0.0.1", "1")))
    await engine.aclose()


async def test_it_answers_refuses_and_is_left_like_one_at_home() -> None:
    async with listening() as there:
        client = there.client()
        assert text_of(await collect(client, Generate(prompt="a b c", max_tokens=3))) == "a b c"
        assert client.room.node == "here"
        with pytest.raises(EngineError) as caught:
            await collect(client, Generate(prompt="a", max_tokens=300_000))
        assert caught.value.code == 5021
        async with aclosing(client.generate(ASK, "r")) as deltas:
            await anext(deltas)
            assert await there.engine.stats() == {"live": 1}
        async with asyncio.timeout(10):
            while await there.engine.stats() != {"live": 0}:
                await asyncio.sleep(0.005)
        await client.aclose()
        assert there.released == ["pilot/e/0"]


async def test_two_supervisors_know_of_each_others_load() -> None:
    async with listening() as there:
        one, other = there.client(), there.client()
        await asyncio.gather(one.ready(), other.ready())
        assert await there.engine.fronts() == 2
        streams = [one.generate(ASK, str(number)) for number in range(3)]
        await asyncio.gather(*(anext(stream) for stream in streams))
        await until(lambda: other.load == 3)
        assert (one.load, other.live) == (3, 0)
        await asyncio.gather(*(stream.aclose() for stream in streams))
        await until(lambda: other.load == 0)
        await asyncio.gather(one.aclose(), other.aclose())
        async with asyncio.timeout(10):
            while await there.engine.fronts():
                await asyncio.sleep(0.01)


async def test_one_that_hangs_is_given_up_after_a_while() -> None:
    async with listening() as there:
        said = Said()
        client = there.client(said)
        stream = client.generate(ASK, "r")
        await anext(stream)
        engine = psutil.Process(there.engine.pid)
        engine.suspend()
        began = time.monotonic()
        with pytest.raises(EngineLost):
            await asyncio.wait_for(_read(stream), 30)
        assert time.monotonic() - began > 2, "not before its patience has ended"
        engine.resume()
        assert text_of(await collect(client, Generate(prompt="a", max_tokens=1))) == "a"
        assert "its connection to node here was lost" in str(said.warnings)
        await client.aclose()


async def _read(stream: object) -> None:
    async for _ in stream:  # type: ignore[attr-defined]
        pass


async def test_another_version_is_refused_by_name() -> None:
    async with listening() as there:
        client = there.client(version="2")
        with pytest.raises(ModelUnavailable, match="here is version 1, there 2: they must be the same"):
            await client.ready()
        await client.aclose()


@pytest.mark.parametrize("op", ["open", "sleep", "wake", "listen", "fronts", "nonsense"])
async def test_who_dials_can_only_ask(op: str) -> None:
    async with listening() as there:
        told, hello = there.told, Hello(version="1", token=there.told.token)
        channel = await dial(told.host, told.port, told.certificate, hello, lambda: Channel(no_calls))
        with pytest.raises(RemoteError, match="is not for a front to ask"):
            await channel.call(op, SPEC)
        await channel.aclose()
        assert await there.engine.stats() == {"live": 0}
