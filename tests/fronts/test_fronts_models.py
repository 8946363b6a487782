"""``env.AI`` behind several fronts: the first has the models, and each speaks with them itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import aiohttp
import psutil
import pytest
import pytest_asyncio

from families import ENGINE, running
from fronts_support import FRONTS, TRIES, everywhere, fresh, fresh_json, fronts
from hosting import Host, hosting, worker

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="SO_REUSEPORT is Linux's"),
]
MODELS = """
"own/endless": {engine: echo, echo: {rate: 50, tokens: 1000000}}
"own/quick": {engine: echo}
"own/two": {engine: echo, replicas: 2}
"own/slow": {engine: echo, model: slow, echo: {rate: 0.5, tokens: 1}, replicas: 2}
"""
ENTRY = """
from workers import Response, URL
async def fetch(request, env):
    query = URL(request.url).search_params
    model, options = query.get("model"), {"gateway": {"id": "g"}} if query.get("gateway") else {}
    inputs = {"prompt": "a b c d", "stream": bool(query.get("stream"))}
    if query.get("stream"):
        inputs["max_tokens"] = 1000000
    try:
        answer = await env.AI.run(model, inputs, options)
    except Exception as error:
        return Response(f"{type(error).__name__}: {error}", status=400)
    return Response(answer) if query.get("stream") else Response(answer["response"])
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    data = folder / "data"
    data.mkdir()
    (data / "models.yaml").write_text(MODELS)
    async with hosting(data, "--fronts", str(FRONTS), "--isolates", "1", engine=None) as running:
        await fronts(running)
        await running.deploy(worker(folder / "app", ENTRY, 'ai = {binding = "AI"}'))
        yield running


async def test_each_front_asks_the_one_model(host: Host) -> None:
    before = await tokens(host)
    assert await everywhere(host, "/_w/app/?model=own/quick") == {b"a b c d": TRIES}
    assert await tokens(host) - before == 4 * TRIES, "what each has counted is told by the first"
    assert len(running((await fronts(host))[1], ENGINE)) == 1
    assert not running((await fronts(host))[2], ENGINE)


async def test_gateways_are_asked_through_the_first(host: Host) -> None:
    assert await everywhere(host, "/_w/app/?model=own/quick&gateway=1") == {b"a b c d": TRIES}


async def test_each_front_asks_replicas(host: Host) -> None:
    before = await engines(host)
    assert await everywhere(host, "/_w/app/?model=own/two") == {b"a b c d": TRIES}
    replicas = await engines(host) - before
    assert len(replicas) == 2
    links = [each for engine in replicas for each in engine.net_connections("unix") if "@pilot-" in each.laddr]
    assert len(links) >= FRONTS, "the others, to one of the two at least"


async def test_another_replica_is_asked_unseen_where_one_is_lost(host: Host) -> None:
    """What has no token yet."""
    before = await engines(host)
    await fresh(host, "/_w/app/?model=own/slow")  # takes two seconds: the other replica is there by then, too
    asking = [asyncio.create_task(fresh(host, "/_w/app/?model=own/slow")) for _ in range(12)]
    async with asyncio.timeout(30):
        while await in_hand(host, "own/slow") < len(asking):
            await asyncio.sleep(0.01)
    (await engines(host) - before).pop().kill()
    assert [answer[:2] for answer in await asyncio.gather(*asking)] == [(200, b"a")] * len(asking)


async def engines(host: Host) -> set[psutil.Process]:
    return set(running((await fronts(host))[1], ENGINE))


async def test_an_error_is_the_same_everywhere(host: Host) -> None:
    answers = await everywhere(host, "/_w/app/?model=own/none")
    assert len(answers) == 1, answers


async def test_a_model_is_in_use_while_any_front_reads(host: Host) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        path = f"{host.url}/_w/app/?model=own/endless&stream=1"
        streams = [await http.get(path) for _ in range(12)]
        for stream in streams:
            await stream.content.readline()
        assert await in_hand(host, "own/endless") == len(streams)
        for stream in streams:
            stream.close()
        async with asyncio.timeout(30):
            while await in_hand(host, "own/endless"):
                await asyncio.sleep(0.05)


async def test_a_model_that_dies_is_there_again_for_each(host: Host) -> None:
    await fresh(host, "/_w/app/?model=own/quick")
    for engine in running((await fronts(host))[1], ENGINE):
        engine.kill()
    await asyncio.sleep(1)
    async with asyncio.timeout(60):
        while await everywhere(host, "/_w/app/?model=own/quick") != {b"a b c d": TRIES}:
            await asyncio.sleep(0.5)


async def tokens(host: Host) -> float:
    told = (await fresh(host, "/__pilot/metrics"))[1].decode().splitlines()
    lines = [line for line in told if line.startswith('pilot_ai_output_tokens_total{model="own/quick"')]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def in_hand(host: Host, model: str) -> int:
    rows = (await fresh_json(host, "/client/v4/pilot/status"))[1]["result"]["engines"]
    return sum(row["live"] for row in rows if model in row["models"])
