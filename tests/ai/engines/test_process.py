"""An engine in a process of its own: it comes, dies, comes back, and never outlives who started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.protocol import EngineError, EngineLost, EngineSpec, Generate, ModelUnavailable, StillLoading
from bindings.ai.replicas.pool import EnginePool
from engines_support import collect, until
from families import ENGINE, running
from models_support import Said, ask, text_of, tokens_of

SLOW = EngineSpec(engine="echo", model="slow", options={"rate": 50, "tokens": 500})
FAST = EngineSpec(engine="echo", model="fast", options={"tokens": 2000, "context_window": 4000})
ASK = Generate(prompt="where is new york?", max_tokens=1000)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
async def pool(said: Said) -> AsyncIterator[EnginePool]:
    pool = EnginePool(said, load_timeout=30)
    yield pool
    await pool.aclose()


async def until_idle(client: EngineClient) -> float:
    start = time.monotonic()
    while (await client.stats())["live"]:
        assert time.monotonic() - start < 10
    return time.monotonic() - start


async def test_the_first_request_waits_for_the_model(pool: EnginePool) -> None:
    client = pool.get(SLOW)
    assert client.state == "loading"
    deltas = await collect(client, Generate(prompt="a b", max_tokens=2))
    assert text_of(deltas) == "a b"
    assert client.state == "ready"
    assert client.info is not None
    assert client.info.engine == "echo"


async def test_a_slow_reader_gets_what_piled_up_in_one_piece(pool: EnginePool) -> None:
    deltas = []
    async with aclosing(pool.get(FAST).generate(ASK, "r")) as source:
        async for delta in source:
            deltas.append(delta)
            if len(deltas) < 4:
                await asyncio.sleep(0.1)
    assert tokens_of(deltas) == 1000
    assert len(deltas) < 500
    assert text_of(deltas) == " ".join(["where", "is", "new", "york?"] * 250)
    assert deltas[-1].finish_reason == "length"


async def test_leaving_reaches_the_model(pool: EnginePool) -> None:
    client = pool.get(SLOW)
    async with aclosing(client.generate(ASK, "r")) as deltas:
        await anext(deltas)
        assert await client.stats() == {"live": 1}
        assert client.live == 1
    assert client.live == 0
    await until_idle(client)


async def test_leaving_before_the_first_delta_reaches_the_model(pool: EnginePool) -> None:
    client = pool.get(SLOW)
    await client.ready()
    for turns in range(6):  # wherever the request happens to be
        task = asyncio.create_task(collect(client, ASK))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0.05)
    assert await client.stats() == {"live": 0}


async def test_a_refusal_crosses_with_its_code(pool: EnginePool) -> None:
    with pytest.raises(EngineError) as caught:
        await collect(pool.get(FAST), Generate(prompt="x " * 5000))
    assert (caught.value.code, caught.value.row.status, caught.value.name) == (5021, 413, "Ai")


async def test_kill_9_fails_what_is_in_flight_but_nothing_later(pool: EnginePool, said: Said) -> None:
    client = pool.get(SLOW)
    async with aclosing(client.generate(ASK, "r")) as deltas:
        await anext(deltas)
        first = client.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        with pytest.raises(EngineLost):
            async for _ in deltas:
                pass
    assert text_of(await collect(client, Generate(prompt="again", max_tokens=1))) == "again"
    assert client.pid != first
    assert any("SIGKILL" in text for text in said.warnings)


async def test_deaths_in_a_row_are_answered_with_longer_pauses(pool: EnginePool, said: Said) -> None:
    client = pool.get(SLOW)
    for _ in range(3):
        await client.ready()
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        await until(lambda: client.state == "restarting")
    await client.ready()
    assert [text.rpartition(" in ")[2] for text in said.warnings] == ["0.2 s", "0.4 s", "0.8 s"]


async def test_a_model_that_cannot_be_loaded_is_every_requests_answer(pool: EnginePool, said: Said) -> None:
    client = pool.get(EngineSpec(engine="llamacpp", model="/nowhere/model.gguf"))
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="there is no file /nowhere") as caught:
            await collect(client, ASK)
        assert caught.value.code == 3043
    assert client.state == "failed"
    assert len(said.warnings) == 1
    await asyncio.sleep(0.25)
    with pytest.raises(ModelUnavailable):
        await collect(client, ASK)
    assert len(said.warnings) == 2, "the pause is over: it tries again"


async def test_a_process_that_dies_while_it_loads(pool: EnginePool, said: Said) -> None:
    request = asyncio.create_task(collect(pool.get(EngineSpec(engine="llamacpp", model="embedded")), ASK))
    await until(lambda: not no_children())
    for child in psutil.Process().children():
        child.kill()
    with pytest.raises(ModelUnavailable, match="its process ended: signal SIGKILL"):
        await request
    assert "cannot be loaded" in said.warnings[0]


async def test_patience_ends(pool: EnginePool) -> None:
    client = EngineClient(SLOW, Said(), load_timeout=0.001)
    try:
        with pytest.raises(StillLoading, match=r"still loading after 0\.001 s"):
            await collect(client, ASK)
        assert client.state == "loading"
    finally:
        await client.aclose()


async def test_the_two_embedded_models_are_told_apart_and_their_download_in_mb(said: Said) -> None:
    for runner, use, size in (("generate", "text", 93), ("pooling", "embeddings", 84)):
        client = EngineClient(EngineSpec(engine="llamacpp", model="embedded", runner=runner), said)
        assert client.name == f"llamacpp: embedded ({use})"
        client._progress("download", 0.5)
        assert said.details[-1] == f"{size / 2:.0f} of {size} MB, then it is loaded"
        client._progress("load", 0.5)
        assert said.details[-1] == ""


async def test_equal_specs_share_a_process_and_reloads_keep_it(pool: EnginePool) -> None:
    client = pool.get(SLOW)
    await client.ready()
    pid = client.pid
    options = dict(reversed(SLOW.options.items()))
    await pool.reconcile([(EngineSpec(engine="echo", model="slow", options=options), None)])
    assert pool.get(SLOW) is client
    assert client.pid == pid


async def test_an_engine_nobody_wants_finishes_its_streams_first(pool: EnginePool) -> None:
    client = pool.get(SLOW)
    async with aclosing(client.generate(Generate(prompt="a", max_tokens=20), "r")) as deltas:
        await anext(deltas)
        await pool.reconcile([(FAST, None)])
        assert pool.clients == []
        assert tokens_of([delta async for delta in deltas]) == 19
    await until(lambda: client.state == "closed")


async def test_closing_ends_every_process_quickly(said: Said) -> None:
    pool = EnginePool(said)
    clients = [pool.get(SLOW), pool.get(FAST)]
    await asyncio.gather(*(client.ready() for client in clients))
    pids = [client.pid for client in clients]
    start = time.monotonic()
    await pool.aclose()
    assert time.monotonic() - start < 5
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
    with pytest.raises(ModelUnavailable, match="closed"):
        await collect(clients[0], ASK)


async def test_closing_while_it_loads(said: Said) -> None:
    pool = EnginePool(said)
    waiting = asyncio.create_task(collect(pool.get(EngineSpec(engine="llamacpp", model="embedded")), ASK))
    await asyncio.sleep(0.3)
    await pool.aclose()
    with pytest.raises(ModelUnavailable):
        await waiting
    assert no_children()


def no_children() -> bool:
    return not running(os.getpid(), ENGINE)


SUPPORT = Path(__file__).parents[2] / "support/models"  # where it finds its imports
SUPERVISOR = """
import asyncio
from models_support import Said
from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.replicas.pool import EnginePool
async def main():
    pool = EnginePool(Said())
    client = pool.get(EngineSpec(engine="echo", model="e"))
    await client.ready()
    print(client.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_no_engine_outlives_its_supervisor(how: signal.Signals) -> None:
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", SUPERVISOR, stdout=PIPE, cwd=SUPPORT)
    assert supervisor.stdout is not None
    engine = int(await supervisor.stdout.readline())
    supervisor.send_signal(how)
    await supervisor.communicate()
    await until(lambda: not psutil.pid_exists(engine))


async def test_ctrl_c_and_sigterm_pass_the_engine_by(pool: EnginePool) -> None:
    client = pool.get(SLOW)
    async with aclosing(client.generate(Generate(prompt="a", max_tokens=20), "r")) as deltas:
        await anext(deltas)
        assert client.pid is not None
        assert os.getpgid(client.pid) == client.pid
        os.kill(client.pid, signal.SIGINT)
        os.kill(client.pid, signal.SIGTERM)
        assert tokens_of([delta async for delta in deltas]) == 19


async def test_the_real_model_dies_and_comes_back(pool: EnginePool) -> None:
    options = {"n_ctx": 512, "n_parallel": 2}
    client = pool.get(EngineSpec(engine="llamacpp", model="embedded", options=options))
    before = text_of(await collect(client, ask()))
    assert client.pid is not None
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(EngineLost):
        await collect(client, ask())
    assert text_of(await collect(client, ask())) == before


async def test_a_pool_that_is_full_lets_the_longest_unused_go() -> None:
    said = Said()
    pool = EnginePool(said, max_engines=2)
    specs = [EngineSpec(engine="echo", model=f"e{number}") for number in range(3)]
    pool.keep(specs[:1])
    try:
        clients = [pool.get(spec) for spec in specs[:2]]
        await asyncio.gather(*(client.ready() for client in clients))
        async with aclosing(clients[1].generate(ASK, "read")) as deltas:
            await anext(deltas)
            third = pool.get(specs[2])
            loading = asyncio.create_task(third.ready())
            await asyncio.sleep(0.3)
            assert not loading.done(), "the second is read from, the first is kept: there is no room"
        await loading
        assert [client.spec.model for client in pool.clients] == ["e0", "e2"]
        assert "makes room" in str(said.notes)
        await pool.get(specs[1]).ready()
        assert [client.spec.model for client in pool.clients] == ["e0", "e1"]
    finally:
        await pool.aclose()
