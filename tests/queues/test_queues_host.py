"""Queues on a host: one worker sends, another consumes; by `pilot`, by Cloudflare's API, and by the real Wrangler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hosting import Host, hosting, tailing, worker
from wrangler_support import WRANGLERS, on_host

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUEUES = "/client/v4/accounts/host/queues"
SENDER = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await self.env.JOBS.send(request.url.partition("?")[2], contentType="text")
        return Response("sent")
"""
SENDS = '[[queues.producers]]\nbinding = "JOBS"\nqueue = "QUEUE"\n'
CONSUMER = """
import asyncio
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(await self.env.SEEN.get("seen") or "")

    async def queue(self, batch):
        for message in batch.messages:
            print("handling", message.body)
            if message.body == "hang":
                await asyncio.Event().wait()
            seen = await self.env.SEEN.get("seen") or ""
            await self.env.SEEN.put("seen", f"{seen}{batch.queue} {message.body} {message.attempts};")
"""
CONSUMES = """
[[kv_namespaces]]
binding = "SEEN"
id = "NAME"
[[queues.consumers]]
queue = "QUEUE"
max_batch_timeout = 0
max_retries = 1
dead_letter_queue = "QUEUE-dead"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data", "--limit", "event_wall_s=2") as running:
        yield running


async def deploy(host: Host, folder: Path, name: str) -> None:
    """NAME-sender, NAME-consumer, and the queue NAME between them."""
    consumes = CONSUMES.replace("QUEUE", name).replace("NAME", f"{name}-seen")
    await host.deploy(worker(folder / "sender", SENDER, SENDS.replace("QUEUE", name), name=f"{name}-sender"))
    await host.deploy(worker(folder / "consumer", CONSUMER, consumes, name=f"{name}-consumer"))


async def has_seen(host: Host, name: str, wanted: Callable[[str], bool]) -> str:
    async with asyncio.timeout(60):
        while True:
            _, text = await host.get(f"{name}-consumer")
            if wanted(text):
                return text
            await asyncio.sleep(0.05)


async def test_one_worker_sends_and_another_consumes(host: Host, tmp_path: Path) -> None:
    await deploy(host, tmp_path, "jobs")
    async with tailing(host, "jobs-consumer") as told:
        assert await host.get("jobs-sender", "/?one") == (200, "sent")
        await has_seen(host, "jobs", lambda text: "jobs one 1;" in text)
        event, printed = await _told_of_queue(told)
    assert (event["outcome"], event["event"]) == ("ok", {"queue": "jobs", "batchSize": 1})
    assert ["handling one"] in printed
    await host.says("QUEUE jobs 1/1")


async def _told_of_queue(told: asyncio.Queue[Any]) -> tuple[Any, list[Any]]:
    """The event of a batch; what was printed until then, which the next request may have had as its own."""
    printed = list[Any]()
    while True:
        event = await asyncio.wait_for(told.get(), 30)
        printed += [log["message"] for log in event["logs"]]
        if "queue" in (event["event"] or {}):
            return event, printed


async def test_one_that_never_returns_ends_at_its_limit_and_holds_up_no_other_queue(host: Host, tmp_path: Path) -> None:
    await deploy(host, tmp_path, "slow")
    await deploy(host, tmp_path / "other", "quick")
    assert await host.get("slow-sender", "/?hang") == (200, "sent")
    assert await host.get("quick-sender", "/?one") == (200, "sent")
    await has_seen(host, "quick", lambda text: "quick one 1;" in text)
    await host.says("an event took more than 2 s (event_wall_s)")
    await host.says('to dead letter queue "slow-dead" after 2 failed attempts...', within=30)
    dead = await api(host, "GET", "/slow-dead/messages")
    assert [(message["body"], message["attempts"]) for message in dead] == [("hang", 0)]
    assert await host.get("slow-sender", "/?fine") == (200, "sent")
    await has_seen(host, "slow", lambda text: "slow fine 1;" in text)


async def test_a_deleted_worker_consumes_no_more(host: Host, tmp_path: Path) -> None:
    await deploy(host, tmp_path, "left")
    assert (await api(host, "GET", "/left"))["consumers"][0]["script"] == "left-consumer"
    await host.cli("delete", "--yes", cwd=tmp_path / "consumer")
    assert await host.get("left-sender", "/?later") == (200, "sent")
    await host.says('the queue "left" has no consumer any more', within=30)
    assert (await api(host, "GET", "/left"))["consumers"] == []
    assert (await api(host, "GET", "/left/metrics"))["backlog_count"] == 1


async def test_consumers_and_messages_outlive_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with hosting(data) as host:
        await deploy(host, tmp_path, "kept")
        await host.cli("queues", "pause", "kept", "--host", host.url)
        assert await host.get("kept-sender", "/?waits") == (200, "sent")
        host.process.kill()
        await host.process.wait()
    async with hosting(data) as host:
        listed = json.loads(await host.cli("queues", "list", "--host", host.url, "--json"))
        rows = {row["queue_name"]: row for row in listed}
        assert (rows["kept"]["backlog_count"], rows["kept"]["settings"]["delivery_paused"]) == (1, True)
        await host.cli("queues", "resume", "kept", "--host", host.url)
        await has_seen(host, "kept", lambda text: "kept waits 1;" in text)


async def api(host: Host, method: str, path: str, body: Any = None, fails: int = 0) -> Any:
    """The result of a call, or its error's code."""
    status, answer = await host.api(method, QUEUES + path, body)
    if fails:
        assert status == fails, answer
        return answer["errors"][0]["code"]
    assert status == 200, answer
    return answer["result"]


async def test_the_api(host: Host, tmp_path: Path) -> None:
    made = await api(host, "POST", "", {"queue_name": "by-api", "settings": {"delivery_delay": 1}})
    assert (made["queue_id"], made["queue_name"], made["producers_total_count"]) == ("by-api", "by-api", 0)
    assert await api(host, "POST", "", {"queue_name": "by-api"}, fails=409) == 11009
    assert await api(host, "POST", "", {"queue_name": "no name"}, fails=400) == 100128
    assert await api(host, "GET", "/none", fails=404) == 11000
    assert [one["queue_name"] for one in await api(host, "GET", "?name=by-api&name=none")] == ["by-api"]
    assert await api(host, "GET", "?name=by-api&page=2") == []
    assert (await api(host, "PUT", "/by-api", {"settings": {"delivery_delay": 0}}))["settings"]["delivery_delay"] == 0
    assert await api(host, "PATCH", "/by-api", {"settings": {"delivery_delay": 86_401}}, fails=400) == 100128
    assert await api(host, "PATCH", "/by-api", {"queue_name": "else"}, fails=400) == 100128
    await api(host, "POST", "/by-api/messages", {"body": {"a": 1}})
    await api(
        host, "POST", "/by-api/messages/batch", {"messages": [{"body": "x"}, {"body": "AQI=", "content_type": "bytes"}]}
    )
    kinds = [message["metadata"]["CF-Content-Type"] for message in await api(host, "GET", "/by-api/messages")]
    assert kinds == ["json", "text", "bytes"]
    assert (await api(host, "GET", "/by-api/metrics"))["backlog_count"] == 3
    assert await api(host, "POST", "/by-api/messages", {"body": "x" * 128_001}, fails=400) == 100129
    assert await api(host, "POST", "/by-api/messages", {"body": "?", "content_type": "bytes"}, fails=400) == 100129
    assert await api(host, "POST", "/by-api/messages/batch", {"messages": []}, fails=400) == 100129
    assert await api(host, "POST", "/by-api/messages/pull", {}, fails=400) == 100127
    assert await api(host, "POST", "/by-api/consumers", {"type": "http_pull"}, fails=400) == 100127
    assert await api(host, "POST", "/by-api/consumers", {"script_name": "nobody"}, fails=404) == 10007
    await host.deploy(worker(tmp_path, CONSUMER, '[[kv_namespaces]]\nbinding = "SEEN"\n', name="by-api-consumer"))
    asked = {"script_name": "by-api-consumer", "settings": {"batch_size": 2, "max_wait_time_ms": 1}}
    assert await api(host, "POST", "/by-api/consumers", {**asked, "settings": {"batch_size": 0}}, fails=400) == 100127
    consumer = await api(host, "POST", "/by-api/consumers", asked)
    assert (consumer["script"], consumer["settings"]["batch_size"]) == ("by-api-consumer", 2)
    await has_seen(host, "by-api", lambda text: "by-api x 1;" in text)
    assert await api(host, "POST", "/by-api/consumers", asked, fails=409) == 11004
    path = f"/by-api/consumers/{consumer['consumer_id']}"
    assert (await api(host, "GET", path))["consumer_id"] == consumer["consumer_id"]
    assert (await api(host, "PUT", path, {**asked, "settings": {"max_retries": 9}}))["settings"]["max_retries"] == 9
    await api(host, "DELETE", path)
    assert await api(host, "GET", "/by-api/consumers") == []
    assert await api(host, "DELETE", path, fails=404) == 11003
    await api(host, "DELETE", "/by-api")
    assert await api(host, "GET", "/by-api", fails=404) == 11000


async def test_it_wants_a_token(host: Host) -> None:
    async with host.http.get(host.url + QUEUES, headers={"authorization": "Bearer wrong"}) as answer:
        assert answer.status in (401, 403)


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wrangler(host: Host, tmp_path: Path, version: str) -> None:
    """What `wrangler queues` and `wrangler deploy` do with queues and crons."""
    name = f"w-{version.replace('.', '-')}"

    async def run(*words: str, fails: bool = False, folder: Path = tmp_path) -> str:
        return await on_host(version, *words, url=host.url, token=host.token, folder=folder, fails=fails)

    date = 'compatibility_date = "2025-10-01"\ncompatibility_flags = ["python_workers"]\n'
    sends = date + SENDS.replace("QUEUE", name) + '[triggers]\ncrons = ["*/5 * * * *"]\n'
    sender = worker(tmp_path / "sender", SENDER, sends, name=f"{name}-sender")
    if version == "4.42.2":  # newer ones make what is missing
        assert "does not exist" in await run("deploy", fails=True, folder=sender)
        assert "Created queue" in await run("queues", "create", name)
    await run("deploy", folder=sender)
    consumes = date + CONSUMES.replace("QUEUE", name).replace("NAME", f"{name}-seen")
    await run("queues", "create", f"{name}-dead")
    consumer = worker(tmp_path / "consumer", CONSUMER, consumes, name=f"{name}-consumer")
    await run("deploy", folder=consumer)
    await run("deploy", folder=consumer)  # a second time it is there already
    assert await host.get(f"{name}-sender", "/?hello") == (200, "sent")
    await has_seen(host, name, lambda text: f"{name} hello 1;" in text)
    assert (await host.api("GET", f"scripts/{name}-sender/schedules"))[1]["result"]["schedules"] == [
        {"cron": "*/5 * * * *"}
    ]
    info = await run("queues", "info", name)
    assert "Number of Producers: 1" in info
    assert f"worker:{name}-consumer" in info
    assert name in await run("queues", "list")
    assert "Paused" in await run("queues", "pause-delivery", name)
    assert (await api(host, "GET", f"/{name}"))["settings"]["delivery_paused"] is True
    assert "Resumed" in await run("queues", "resume-delivery", name)
    await run("queues", "purge", name, "--force")
    await run("queues", "consumer", "remove", name, f"{name}-consumer")
    assert (await api(host, "GET", f"/{name}"))["consumers"] == []
    await run("queues", "consumer", "add", name, f"{name}-consumer", "--batch-size", "7")
    assert (await api(host, "GET", f"/{name}"))["consumers"][0]["settings"]["batch_size"] == 7
    await run("queues", "delete", name)
    assert await api(host, "GET", f"/{name}", fails=404) == 11000
