"""What a tail is told of events that are no requests, and whose each printed line is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from hosting import Host, hosting, tailing, worker
from runtime.deploy.tail import pretty
from serving import serving

HERE = Path(__file__).parent
ENTRY = (HERE / "events_worker.py").read_text("utf-8")
CONFIG = """
durable_objects.bindings = [{ name = "ROOM", class_name = "Room" }]
migrations = [{ tag = "v1", new_sqlite_classes = ["Room"] }]
workflows = [{ name = "steps", binding = "STEPS", class_name = "Steps" }]
"""
Item = dict[str, Any]


@pytest_asyncio.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with hosting(tmp_path / "data") as running:
        await running.deploy(worker(tmp_path / "app", ENTRY, CONFIG))
        yield running


async def told(events: asyncio.Queue[Item], want: Callable[[Item], Any]) -> Item:
    while True:
        item = await asyncio.wait_for(events.get(), 30)
        if want(item["event"] or {}):
            return item


def lines(item: Item) -> list[str]:
    return [entry["message"][0] for entry in item["logs"]]


def has(name: str) -> Callable[[Item], bool]:
    return lambda event: name in event


async def test_objects_and_workflows_are_told_of(host: Host) -> None:
    async with tailing(host, "app") as events:
        assert await host.get("app", "/add") == (200, "2")
        call = await told(events, has("rpcMethod"))
        id = call["durableObjectId"]
        assert len(id) == 64
        assert (call["event"], call["outcome"], lines(call)) == ({"rpcMethod": "add"}, "ok", ["room add"])
        assert (call["entrypoint"], call["executionModel"]) == ("Room", "durableObject")
        assert "rpc    Room.add  ok" in plain(call)

        assert await host.get("app", "/plain") == (203, "plain")
        fetched = await told(events, lambda event: "request" in event and "headers" not in event["request"])
        assert fetched["event"]["response"] == {"status": 203}
        assert (lines(fetched), fetched["durableObjectId"]) == (["room fetch"], id)

        await host.get("app", "/ring?fails")
        failed = await told(events, has("scheduledTime"))
        assert (failed["outcome"], lines(failed)[0]) == ("exception", "room alarm")
        assert [(one["name"], one["message"]) for one in failed["exceptions"]] == [("ValueError", "no alarm")]
        again = await told(events, has("scheduledTime"))
        assert (again["outcome"], lines(again), again["durableObjectId"]) == ("ok", ["room alarm"], id)
        assert "alarm  Room  ok" in plain(again)
        await host.says("ALARM Room 0/1")

        await host.get("app", "/begin?fails")
        run = await told(events, lambda event: event.get("rpcMethod") == "run")
        assert (run["entrypoint"], run["executionModel"], run["outcome"]) == ("Steps", "workflow", "exception")
        assert lines(run)[0] == "steps run"
        assert run["exceptions"][0]["message"] == "no steps"
        await host.get("app", "/begin")
        assert (await told(events, lambda event: event.get("rpcMethod") == "run"))["outcome"] == "ok"
        await host.says("WORKFLOW steps 1/1")


async def test_hibernated_sockets_are_told_of(host: Host) -> None:
    async with tailing(host, "app") as events:
        async with host.http.ws_connect(f"{host.url}/_w/app/") as socket:
            await socket.send_str("x")
            assert await socket.receive_str() == "x"
            said = await told(events, has("getWebSocketEvent"))
            assert said["event"] == {"getWebSocketEvent": {"webSocketEventType": "message"}}
            assert (said["outcome"], lines(said), said["entrypoint"]) == ("ok", ["room message"], "Room")
            await socket.send_str("fail")
            failed = await told(events, has("getWebSocketEvent"))
            assert (failed["outcome"], failed["exceptions"][0]["message"]) == ("exception", "no message")
            assert "socket Room message  exception" in plain(failed)
            await socket.close(code=4000)
        closed = await told(events, has("getWebSocketEvent"))
        assert closed["event"]["getWebSocketEvent"] == {"webSocketEventType": "close", "code": 4000, "wasClean": True}


async def test_each_line_goes_with_the_request_that_printed_it(host: Host) -> None:
    numbers = [str(number) for number in range(20)]
    async with tailing(host, "app") as events:
        await asyncio.gather(*(host.get("app", f"/slow/{number}") for number in numbers))
        found = {}
        while len(found) < len(numbers):
            item = await told(events, has("request"))
            found[item["event"]["request"]["url"].rpartition("/")[2]] = lines(item)
        assert found == {number: [f"{number} {part}" for part in ("begins", "goes on", "ends")] for number in numbers}
        await host.get("app", "/both")
        assert lines(await told(events, has("request"))) == ["two", "lines and more"]


async def test_a_consumer_in_dev_is_told_of_calls_and_alarms_and_the_terminal_of_alarms(tmp_path: Path) -> None:
    consumer = (HERE / "consumer.py").read_text("utf-8")
    worker(tmp_path / "app", ENTRY, 'tail_consumers = [{ service = "logs" }]\n' + CONFIG)
    worker(tmp_path / "logs", consumer, '[vars]\nNAME = "logs"\n', name="logs")
    async with serving(tmp_path, "-c", "app/wrangler.toml", "-c", "logs/wrangler.toml") as pilot:
        assert await pilot.ask("/add") == (200, "2")
        assert await pilot.ask("/ring") == (200, "done")
        await pilot.says("ALARM Room 1/1")
        wanted = {("Room", "add"), ("Room", "ring"), ("Room", None)}
        async with asyncio.timeout(30):
            while wanted:
                for item in json.loads((await pilot.ask("/_w/logs/seen"))[1]):
                    event = item["event"] or {}
                    if "rpcMethod" in event or "scheduledTime" in event:
                        wanted.discard((item["entrypoint"], event.get("rpcMethod")))
                await asyncio.sleep(0.05)


def plain(item: Item) -> str:
    """As ``pilot tail`` prints it, without colours."""
    from click import unstyle

    return unstyle(pretty(item))
