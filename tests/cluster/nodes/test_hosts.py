"""What is wrong in a cluster, a row or a setting, as whoever runs ``pilot host`` is told of it: it starts, a line names
what to mend, and everything else is served."""

from __future__ import annotations

import asyncio
import json
import platform
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import aiohttp
import psutil
import pytest
import pytest_asyncio
from playwright.async_api import expect

pytest.importorskip("ray")

from browsing import chromium, show_token
from families import ENGINE, running
from fronts_support import FRONTS, TRIES, everywhere, fresh, fronts
from hosting import Host, worker
from ray_support import STEP_S, RayCluster, on_cluster
from runtime import VERSION

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
ROOT = Path(__file__).parents[3]
RUN = "/client/v4/accounts/host/ai/run/"
NODES = "127.0.0.1", "127.0.0.2"
ROWS = """
"own/good": {engine: echo, model: good, replicas: 2, gpus: 5}
"own/label": {engine: echo, model: label, replicas: 1, where: {kind: none}}
"own/many": {engine: echo, model: many, gpus: 64}
"own/half": {engine: llamacpp, llamacpp: {model: embedded}, replicas: 2, gpus: 2.0}
"own/here": {engine: echo}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(ray: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    """Its first model leaves room for one replica of ``own/half`` on each node."""
    async with on_cluster(tmp_path_factory.mktemp("host"), ray.address, ROWS) as host:
        await answers(host)
        await states(host, "own/good", ["ready", "ready"])
        yield host


async def asked(host: Host, model: str) -> tuple[int, str]:
    """(status, the answer's text or what is wrong)"""
    status, answer = await host.api("POST", RUN + model, {"prompt": "a b", "max_tokens": 2})
    return status, answer["result"]["response"] if status == 200 else answer["errors"][0]["message"]


async def answers(host: Host, model: str = "own/good") -> None:
    """Once it is loaded, if not at once."""
    async with asyncio.timeout(STEP_S):
        while (told := await asked(host, model))[0] != 200:
            assert told[0] == 408, told


async def rows(host: Host, model: str) -> list[dict[str, Any]]:
    found = (await host.api("GET", "/client/v4/pilot/status"))[1]["result"]["engines"]
    return [row for row in found if model in row["models"].split(", ")]


async def states(host: Host, model: str, wanted: list[str]) -> list[dict[str, Any]]:
    """Its rows, once they are in these states."""
    async with asyncio.timeout(STEP_S):
        while True:
            found = await rows(host, model)
            if sorted(row["state"] for row in found) == wanted:
                return found
            await asyncio.sleep(0.1)


async def test_one_replica_on_each_node_answers(host: Host) -> None:
    found = await states(host, "own/good", ["ready", "ready"])
    assert await asked(host, "own/good") == (200, "a b")
    assert {row["node"] for row in found} == set(NODES)


WHY = {
    "own/label": "it waits for a node with the label kind: none: none of the cluster's has it",
    "own/many": "it waits for a node with 64 GPU: the largest of the cluster's has 8",
}


async def test_what_no_node_has_is_waited_for_by_name(host: Host) -> None:
    asking = [asyncio.create_task(asked(host, model)) for model in WHY]
    for model, why in WHY.items():
        await states(host, model, ["pending"])
        async with asyncio.timeout(STEP_S):
            while (await rows(host, model))[0]["why"] != why:
                await asyncio.sleep(0.1)
    shown = re.sub(r"\s+", " ", await host.cli("ps", "--host", host.url))
    assert [why for why in WHY.values() if why not in shown] == []
    assert await asked(host, "own/good") == (200, "a b")
    assert await asked(host, "own/here") == (200, "a b")
    for (status, said), why in zip(await asyncio.gather(*asking), WHY.values(), strict=True):
        assert (status, why in said) == (408, True), said


async def test_a_model_that_loads_on_one_node_and_not_on_another(host: Host) -> None:
    await answers(host, "own/half")
    found = await states(host, "own/half", ["failed", "ready"])
    failed, ready = sorted(found, key=lambda row: row["state"])
    assert (failed["node"], ready["node"]) == (NODES[1], NODES[0])
    for said in (failed["why"], (await host.event("warning", within=1))["text"]):
        assert "on node 127.0.0.2" in said
        assert "/dev/null/none" in said
    for _ in range(3):
        assert (await asked(host, "own/half"))[0] == 200


async def test_another_host_with_another_row(host: Host, ray: RayCluster, tmp_path: Path) -> None:
    other = '"own/good": {engine: echo, model: good, echo: {rate: 500}, replicas: 1, gpus: 1}\n'
    await answers(host)
    before = {engine.pid for engine in ray.engines()}
    async with on_cluster(tmp_path, ray.address, other) as second:
        await answers(second)
        line = (await second.says("own/good: the cluster has replicas of another row", within=STEP_S))["text"]
        assert "(gpus: 1.0 here, 5.0 there; rate: 500 here, nothing there)" in line
        assert await asked(host, "own/good") == (200, "a b")
        assert {engine.pid for engine in ray.engines()} - before, "each has its own"


async def test_the_explorer_shows_nodes_and_what_waits(host: Host) -> None:
    await answers(host)
    asking = asyncio.create_task(asked(host, "own/label"))
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{host.url}/__pilot/#traces")
        await show_token(page, host.token)
        await expect(page.get_by_role("status")).to_have_text("0 traces")
        await answers(host)
        await page.get_by_role("button", name=f"POST {RUN}own/good").click()
        spans = page.get_by_role("region", name="Spans of POST")
        await expect(spans.get_by_role("rowheader").last).to_contain_text("engine echo: good #")
        await spans.locator("summary").last.click()
        await expect(spans.get_by_text("pilot.node")).to_be_visible()
        await page.get_by_role("link", name="Models and figures").click()
        engines = page.get_by_role("region", name="engines").locator("tbody tr")
        await expect(engines.filter(has_text="good #0")).to_contain_text("127.0.0.")
        waiting = engines.filter(has_text="label #0")
        await expect(waiting).to_contain_text("waits for a node with the label kind: none", timeout=20_000)
        figures = page.get_by_role("region", name="Figures")
        await expect(figures).to_contain_text("node=127.0.0.2")
    asking.cancel()


async def test_a_host_that_is_killed_leaves_its_replicas_to_the_others(
    host: Host, ray: RayCluster, tmp_path: Path
) -> None:
    row = '"own/slow": {engine: echo, model: slow, echo: {rate: 50, tokens: 100000}, replicas: 1, gpus: 1}\n'
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    ask = {"prompt": "a b", "max_tokens": 100_000, "stream": True}
    others = {engine.pid for engine in ray.engines()}  # of which one may be about to end
    async with (
        on_cluster(tmp_path / "first", ray.address, row) as first,
        on_cluster(tmp_path / "second", ray.address, row) as second,
        first.http.post(f"{first.url}{RUN}own/slow", json=ask) as stream,
        second.http.post(f"{second.url}{RUN}own/slow", json=ask) as lost,
    ):
        for each in (stream, lost):
            await each.content.readline()
        before = {engine.pid for engine in ray.engines()} - others
        second.process.kill()
        with pytest.raises(aiohttp.ClientError):
            await lost.read()
        longest = 0.0
        for _ in range(100):
            began = time.monotonic()
            await stream.content.readline()
            longest = max(longest, time.monotonic() - began)
        assert {engine.pid for engine in ray.engines()} - others == before != set()
        print(f"a host killed: the longest pause of another's stream {longest * 1000:.0f} ms")


# What keeps a host from a cluster: all of them are begun at once, as each is mostly a wait


OTHER = """
import sys
if "bindings.ai.cluster.agent" in sys.orig_argv:
    import ray._private.utils
    ray._private.utils.compute_version_info = lambda: {}
"""
HERE = f"Ray {version('ray')} and Python {platform.python_version()}"


class Cause(NamedTuple):
    """``said``, of ``address``. ``versions``: of Ray and Python, as the host's own Ray sees them."""

    address: str
    said: str
    environment: Mapping[str, str] = MappingProxyType({})
    versions: tuple[str, str] | None = None


def of_version(ray: str, python: str) -> Cause:
    said = f"the Ray cluster at {{ray}} is of another version: {HERE} there, Ray {ray} and Python {python} here"
    return Cause("{ray}", said, versions=(ray, python))


CAUSES = {
    "silent": Cause("{silent}", "nothing of Ray's answers at {silent}"),
    "nobody": Cause("127.0.0.1:1", "nothing answers at 127.0.0.1:1"),
    "no client's server": Cause("ray://127.0.0.1:1", "nothing answers at ray://127.0.0.1:1"),
    "wrong token": Cause("{ray}", "the Ray cluster at {ray} does not take this host's token: it is missing or wrong",
                         {"RAY_AUTH_TOKEN": "0" * 32}),
    "no token": Cause("{ray}", "the Ray cluster at {ray} asks for a token, and none is sent",
                      {"RAY_AUTH_MODE": "disabled"}),
    "another Ray": of_version("2.59.0", "3.11.7"),
    "another Python": of_version("2.60.0", "3.12.1"),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusals(
    ray: RayCluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    tasks = {}
    with socket.create_server(("127.0.0.1", 0)) as sock:  # takes connections, and says nothing
        at = {"ray": ray.address, "silent": f"127.0.0.1:{sock.getsockname()[1]}"}
        for name, cause in CAUSES.items():
            data = tmp_path_factory.mktemp("host")
            if cause.versions:
                (data / "sitecustomize.py").write_text(OTHER.format(cause.versions))
            environment = {"PYTHONPATH": str(data), **cause.environment}
            telling = refused(data, cause.address.format(**at), cause.said.format(**at), **environment)
            tasks[name] = asyncio.create_task(telling)
        yield tasks
        await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("cause", CAUSES)
async def test_why_a_cluster_cannot_be_joined_is_said(refusals: dict[str, asyncio.Task[None]], cause: str) -> None:
    await refusals[cause]


async def refused(data: Path, address: str, said: str, **env: str) -> None:
    """What is said at the start, and to whoever asks a model with replicas; the others answer."""
    env = {"RAY_gcs_server_port_wait_time_s": "2", **env}
    async with on_cluster(data, address, ROWS, **env) as host:
        line: str = (await host.says(said, within=STEP_S))["text"]
        assert "[pilot.cluster]" in line
        assert await asked(host, "own/here") == (200, "a b")
        status, text = await asked(host, "own/good")
        assert (status, said in text) == (500, True), text
        assert said in (await rows(host, "own/good"))[0]["why"]


FRONT = """
from workers import Response, URL
async def fetch(request, env):
    prompt = URL(request.url).search_params.get("prompt") or "a b"
    try:
        return Response((await env.AI.run("own/good", {"prompt": prompt, "max_tokens": 2}))["response"])
    except Exception as error:
        return Response(str(error), status=500)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def several(ray: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    """Fronts of one machine, with a worker that asks what three replicas answer."""
    folder = tmp_path_factory.mktemp("fronts")
    (data := folder / "data").mkdir()
    row = '"own/good": {engine: echo, model: three, replicas: 3, gpus: 1}\n'
    async with on_cluster(data, ray.address, row, "--fronts", str(FRONTS), "--isolates", "1") as host:
        await fronts(host)
        await answers(host)
        await states(host, "own/good", ["ready"] * 3)
        await host.deploy(worker(folder / "app", FRONT, 'ai = {binding = "AI"}'))
        yield host


async def test_several_fronts_of_one_machine_on_the_cluster(ray: RayCluster, several: Host) -> None:
    pids = await fronts(several)
    assert await everywhere(several, "/_w/app/") == {b"a b": TRIES}
    assert [pid for pid in pids.values() if not links(pid, ray)] == [], "each asks over TLS by itself"
    agents = [running(pid, "bindings.ai.cluster.agent") for pid in pids.values()]
    assert [len(found) for found in agents] == [1] + [0] * (FRONTS - 1)
    assert not running(several.process.pid, ENGINE)
    assert {row["node"] for row in json.loads(await several.cli("status", "--json"))["engines"]} <= set(NODES)


async def test_a_front_remembers_what_it_cannot_reach(ray: RayCluster, several: Host) -> None:
    """Two of the replicas take nobody anew. The first front is linked to them, and knows of nothing; the others begin
    anew."""
    first, *others = (pid for _, pid in sorted((await fronts(several)).items()))
    replicas = [engine for engine in ray.engines() if listening(engine) & links(first, ray)]
    assert len(replicas) == 3
    for engine in replicas[:2]:
        engine.rlimit(psutil.RLIMIT_NOFILE, (3, engine.rlimit(psutil.RLIMIT_NOFILE)[1]))
    for pid in others:
        psutil.Process(pid).kill()
    await fronts(several, {*others})
    answered = [await fresh(several, f"/_w/app/?prompt=p{number}") for number in range(TRIES)]
    lost = [answer for answer in answered if answer[0] != 200]
    assert len(lost) < FRONTS, lost  # each of the others' first request may meet both, one after the other
    assert await everywhere(several, "/_w/app/") == {b"a b": TRIES}


def listening(engine: psutil.Process) -> set[int]:
    return {each.laddr.port for each in engine.net_connections("tcp") if each.status == psutil.CONN_LISTEN}


def links(pid: int, ray: RayCluster) -> set[int]:
    """The ports at which it is linked to replicas."""
    there = psutil.Process(pid).net_connections("tcp")
    linked = {each.raddr.port for each in there if each.status == psutil.CONN_ESTABLISHED}
    return linked & {port for engine in ray.engines() for port in listening(engine)}


OTHER_RELEASE = {
    "runtime/__init__.py": (f'VERSION = "{VERSION}"', 'VERSION = "99.1"'),
    "bindings/ai/cluster/wanted.py": ("    name: str\n", "    name: str\n    colour: str\n"),
}


def another_release(folder: Path) -> None:
    """As a node has it that was installed at another time: what it is told, too, is not what it expects."""
    for package in ("runtime", "bindings"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (ours, theirs) in OTHER_RELEASE.items():
        text = (folder / name).read_text("utf-8")
        assert ours in text
        (folder / name).write_text(text.replace(ours, theirs, 1), "utf-8")
    (folder / "sitecustomize.py").write_text("import bindings, runtime\n")  # before Ray puts this host's path first


def none(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text('import sys\nsys.modules["bindings"] = None\n')


@pytest.mark.parametrize(
    ("node", "install", "why"),
    [
        ("127.0.0.3", none, "another Pilotlight is installed there, or none: "),
        ("127.0.0.4", another_release, f"it has Pilotlight 99.1, and this host {VERSION}"),
    ],
)
async def test_a_node_with_another_release_or_none(
    ray: RayCluster, host: Host, tmp_path: Path, node: str, install: Callable[[Path], None], why: str
) -> None:
    install(tmp_path)
    added = await ray.do("add", 8, '{"kind": "none"}', node, PYTHONPATH=str(tmp_path))
    async with asyncio.timeout(STEP_S):
        while (told := await asked(host, "own/label"))[0] == 408:
            pass
    status, said = told
    assert (status, f"on node {node}: {why}" in said) == (500, True), said
    assert why in str((await rows(host, "own/label"))[0]["why"])
    assert await asked(host, "own/good") == (200, "a b")
    await ray.do("kill_node", int(added))
