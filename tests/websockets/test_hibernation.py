"""Sockets that an object has accepted for hibernation: kept by the supervisor through eviction, new code and kills."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed

from hosting import Host, hosting, worker
from serving import Served, serving, write
from socket_servers import ClientConnection, opening

WORKER = (Path(__file__).parent / "room_worker.py").read_text()
CONFIG = """
[[durable_objects.bindings]]
name = "ROOM"
class_name = "Room"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Room"]
[pilot]
object_idle = 0.2
"""
SOCKETS, RELOADS, DEPLOYS = 20, 8, 4  # in the suite; more in the environment: SOCKETS_AT_RELOAD=200,200,100

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("hibernation")
    write(folder, WORKER, CONFIG)
    async with serving(folder) as running:
        yield running


def room(pilot: Served, name: str, path: str = "", query: str = "") -> opening:  # type: ignore[valid-type]
    return opening(f"{pilot.url}/{path}?room={name}{query}")


async def asked(socket: ClientConnection, message: str) -> str:
    await socket.send(message)
    return str(await asyncio.wait_for(socket.recv(), 30))


async def evicted(socket: ClientConnection) -> None:
    """Once the object has left memory."""
    async with asyncio.timeout(30):
        while (await asked(socket, "state")).split()[1] != "1":
            await asyncio.sleep(1.5)


async def test_messages_of_both_kinds(pilot: Served) -> None:
    async with room(pilot, "kinds") as socket:
        assert await asked(socket, "echo ünï") == "ünï"
        await socket.send(b"\x01\x02")
        assert await socket.recv() == b"\x02\x01"
        assert socket.response is not None
        assert socket.response.headers["x-object"] == "kinds"


async def test_what_is_said_before_the_answer(pilot: Served) -> None:
    async with room(pilot, "greets", "greets") as socket:
        assert await socket.recv() == "welcome 1"
        await socket.send("raise unheard")
        assert await asked(socket, "echo still") == "still"
    await pilot.says("Room.webSocketMessage failed")
    await pilot.says("ValueError: unheard")


async def test_tags_and_attachments_outlive_the_object_in_memory(pilot: Served) -> None:
    async with room(pilot, "tags", "", "&tag=a&tag=b&tag=a") as one, room(pilot, "tags", "", "&tag=b") as other:
        assert await asked(one, "attached") == "None"
        await one.send("attach this")
        for _ in range(2):
            assert await asked(one, "tags") == "['a', 'b']"
            assert await asked(one, "attached") == "['this', [1, None], b'x']"
            assert [await asked(one, f"tagged {tag}") for tag in "abc"] == ["(1, 2)", "(2, 2)", "(0, 2)"]
            await other.send("all heard")
            assert [await one.recv(), await other.recv()] == ["heard", "heard"]
            await evicted(one)
    await pilot.says("{'text': 'this', 'list': [1, None,")


async def test_the_constructor_finds_its_sockets(pilot: Served) -> None:
    async with room(pilot, "first") as one, room(pilot, "first"):
        assert (await asked(one, "state")).split() == ["1", "1", "0"]
        await evicted(one)
        assert (await asked(one, "state")).split() == ["1", "2", "2"]


async def test_an_answer_without_the_object(pilot: Served) -> None:
    async with room(pilot, "pair") as socket:
        assert await asked(socket, "answered") == "(['ping', 'pong'], None)"
        assert await asked(socket, "ping") == "pong"
        assert re.fullmatch(r"\(\['ping', 'pong'\], 20\d\d\)", await asked(socket, "answered"))
        await evicted(socket)
        for _ in range(20):
            assert await asked(socket, "ping") == "pong"
            await asyncio.sleep(0.1)
        assert (await asked(socket, "state")).split()[1] == "1"  # nobody woke it
        assert re.fullmatch(r"\(\['ping', 'pong'\], 20\d\d\)", await asked(socket, "answered"))
        await socket.send("unpair")
        assert re.fullmatch(r"\(None, 20\d\d\)", await asked(socket, "answered"))
        await socket.send("ping")
        await pilot.says("'Room' object has no attribute 'do_ping'")


async def test_an_event_may_take_so_long(pilot: Served) -> None:
    async with room(pilot, "timeout") as socket:
        assert await asked(socket, "timeout 300") == "(None, 300)"
        await socket.send("sleep 60")
        assert await asked(socket, "echo after") == "after"
        await pilot.says("Room.webSocketMessage took more than 0.3 s")
        await pilot.says("slept CancelledError")
        assert await asked(socket, "timeout 0") == "(300, None)"
        assert await asked(socket, "sleep 0.5") == "slept"


async def test_messages_of_one_socket_keep_their_order(pilot: Served) -> None:
    async with room(pilot, "order") as socket:
        for message in ("sleep 0.3", *(f"echo {number}" for number in range(50))):
            await socket.send(message)
        assert [await socket.recv() for _ in range(51)] == ["slept", *map(str, range(50))]


async def test_the_client_closes(pilot: Served) -> None:
    async with room(pilot, "closes") as socket, room(pilot, "closes") as other:
        await socket.close(4001, "bye")
        assert (socket.close_code, socket.close_reason) == (4001, "bye!")
        await pilot.says("closed 4001 bye True 2 None 2")
        assert await asked(other, "tagged x") == "(0, 1)"


@pytest.mark.parametrize("reason", ["leave", "raise"])
async def test_a_close_that_the_object_does_not_finish(pilot: Served, reason: str) -> None:
    async with room(pilot, "leaves") as socket:
        await socket.close(4001, reason)
        assert socket.close_code == 1006
    await pilot.says(f"closed 4001 {reason} True")


async def test_the_object_closes(pilot: Served) -> None:
    async with room(pilot, "ends") as socket:
        await socket.send("close 4002 enough")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4002, "enough")
    await pilot.says("closed 4002 enough True 3")


async def test_a_client_that_goes_without_a_word(pilot: Served) -> None:
    async with room(pilot, "gone") as socket:
        await evicted(socket)
        socket.transport.abort()
    await pilot.says("closed 1006 WebSocket disconnected without sending Close frame. False 3")


async def test_a_client_that_breaks_the_protocol(pilot: Served) -> None:
    async with room(pilot, "breaks") as socket:
        assert await asked(socket, "echo x") == "x"
        socket.transport.write(b"\xff\x80abcd")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    await pilot.says("error reserved bits must be 0")
    await pilot.says("closed 1006 reserved bits must be 0 False")


async def test_what_cannot_be(pilot: Served) -> None:
    status, text = await pilot.ask("/refuses?room=refuses")
    assert (status, json.loads(text)) == (200, [
        f'JsException: Error: "{"x" * 257}" is longer than the max tag length (256 characters).',
        "JsException: Error: a Hibernatable WebSocket cannot have more than 10 tags",
        "JsException: Error: you must call 'acceptWebSocket()' before attempting to access the tags of a WebSocket.",
        "TypeError: Tried to make an api::WebSocket hibernatable when it was in an incompatible state.",
        "TypeError: Can't accept() WebSocket after enabling hibernation.",
        "JsException: Error: A WebSocket 'attachment' cannot be larger than 16384 bytes.'attachment' was 17003 bytes.",
        "ValueError: Request cannot be larger than 2048 characters.",
        "ValueError: Event timeout should not exceed 604800000 ms.", "None",
    ])  # fmt: skip


async def test_what_is_said_after_a_write_waits_for_the_disk(pilot: Served) -> None:
    async with room(pilot, "disk") as socket:
        for number in range(1, 20):
            assert await asked(socket, "keep x") == "kept"
            assert await socket.recv() == str(number)


async def test_an_object_with_an_accepted_socket_stays_in_memory(pilot: Served) -> None:
    async with room(pilot, "plain", "plain") as socket:
        assert await asked(socket, "a") == "plain a 1"
        await asyncio.sleep(3)
        assert await asked(socket, "b") == "plain b 2"
        await socket.close(4000)
    await pilot.says("plain closed 4000")


async def test_a_worker_may_be_the_client(pilot: Served) -> None:
    assert await pilot.ask("/within?room=within") == (200, "from a worker")


async def test_a_killed_process_leaves_its_sockets_open(pilot: Served) -> None:
    async with room(pilot, "killed", "", "&tag=a") as socket, room(pilot, "killed", "plain") as plain:
        await socket.send("attach kept")
        for _ in range(3):
            os.kill(int(await asked(socket, "pid")), 9)
            with pytest.raises(ConnectionClosed):
                await plain.recv()  # that one ends with its process
            async with asyncio.timeout(30):
                while await asked_or_lost(socket, "attached") != "['kept', [1, None], b'x']":
                    pass
            assert await asked(socket, "tags") == "['a']"


async def asked_or_lost(socket: ClientConnection, message: str) -> str | None:
    """One message may be with the process when that dies."""
    await socket.send(message)
    try:
        return str(await asyncio.wait_for(socket.recv(), 2))
    except TimeoutError:
        return None


def counts() -> tuple[int, int, int]:
    """Sockets, reloads, deploys."""
    sockets, reloads, deploys = map(
        int, os.environ.get("SOCKETS_AT_RELOAD", f"{SOCKETS},{RELOADS},{DEPLOYS}").split(",")
    )
    return sockets, reloads, deploys


async def opened(url: str, count: int) -> list[ClientConnection]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(opening(f"{url}?room={at % 7}&tag={at}").__aenter__()) for at in range(count)]
    return [task.result() for task in tasks]


async def test_new_code_closes_none_and_gets_the_next_message(pilot: Served) -> None:
    count, reloads, _ = counts()
    sockets = await opened(f"{pilot.url}/", count)
    for version in range(2, reloads + 2):
        assert await pilot.save(WORKER.replace("VERSION = 1", f"VERSION = {version}"))
        for at in range(0, count, 1 if version == reloads + 1 else 7):
            assert (await asked(sockets[at], "state")).split()[0] == str(version)
    assert [await asked(socket, "tags") for socket in sockets] == [f"['{at}']" for at in range(count)]
    assert [socket.close_code for socket in sockets] == [None] * count
    for socket in sockets:
        await socket.close(4000)
        assert socket.close_reason == "!"


async def test_deploys_close_none(tmp_path: Path) -> None:
    count, _, deploys = counts()
    async with hosting(tmp_path / "data", "--isolates", "1") as host:
        await host.deploy(worker(tmp_path / "app", WORKER, CONFIG))
        sockets = await opened(f"{host.url}/_w/app/", count)
        for version in range(2, deploys + 2):
            await _deploy(host, tmp_path / "app", version)
            for at in range(0, count, 1 if version == deploys + 1 else 7):
                assert (await asked(sockets[at], "state")).split()[0] == str(version)
        assert [socket.close_code for socket in sockets] == [None] * count
        for socket in sockets:
            await socket.close(4000)
            assert socket.close_reason == "!"


async def _deploy(host: Host, folder: Path, version: int) -> None:
    (folder / "entry.py").write_text(WORKER.replace("VERSION = 1", f"VERSION = {version}"))
    await host.deploy(folder)
