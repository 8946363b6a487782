"""Async batch over REST: queued, polled, answered; a restart, a failing disk, bounds. The binding's case is in
binding_worker.py."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bindings.ai.batch.store import BatchStore, Outcome, QueueFull
from bindings.sqlite import StoreError
from serving import Served, serving, write
from upstream import upstream

INT8 = "@cf/meta/llama-2-7b-chat-int8"
BEARER = {"Authorization": "Bearer anything"}
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
ENTRY = "from workers import Response\n\ndef fetch(request):\n    return Response('hello')\n"
CONFIG = '[ai]\nbinding = "AI"\n'
MODELS = """
slow: {engine: echo, options: {rate: 20, tokens: 20}, default_max_tokens: 20}
endless: {engine: echo, options: {rate: 0.001}}
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("batch")
    write(folder, ENTRY, CONFIG, {"models.yaml": MODELS})
    async with serving(folder) as pilot:
        yield pilot


async def ask(pilot: Served, body: Any, model: str = INT8, query: str = "") -> tuple[int, dict[str, Any]]:
    """(status, the envelope)."""
    path = f"/client/v4/accounts/a/ai/run/{model}{query}"
    status, text = await pilot.ask(path, "POST", data=io.BytesIO(json.dumps(body).encode()), headers=BEARER)
    return status, json.loads(text)


async def queue(pilot: Served, requests: Any, model: str = INT8, **body: Any) -> str:
    status, answer = await ask(pilot, {"requests": requests, **body}, model, "?queueRequest=true")
    assert status == 200, answer
    queued = answer["result"]
    assert queued == {"status": "queued", "request_id": queued["request_id"], "model": model}
    assert re.fullmatch(UUID, queued["request_id"])
    return str(queued["request_id"])


async def outcome(pilot: Served, id: str, model: str = INT8, within: float = 60) -> dict[str, Any]:
    """The result once there is one; until then it is queued or running."""
    async with asyncio.timeout(within):
        while True:
            status, answer = await ask(pilot, {"request_id": id}, model)
            result: dict[str, Any] = answer["result"]
            if "responses" in result:
                assert (status, answer["success"]) == (200, True)
                return result
            assert result == {"status": result["status"], "request_id": id, "model": model}
            assert result["status"] in ("queued", "running")
            await asyncio.sleep(0.02)


async def until(pilot: Served, id: str, model: str, wanted: str) -> None:
    async with asyncio.timeout(30):
        while (await ask(pilot, {"request_id": id}, model))[1]["result"].get("status") != wanted:
            await asyncio.sleep(0.02)


async def test_a_batch(pilot: Served) -> None:
    requests = [
        {"prompt": "where is new york?", "external_reference": "first"},
        {"messages": [{"role": "user", "content": "a b c"}], "max_tokens": 2, "user": 10**30},
        {"prompt": 3, "external_reference": "wrong"},
    ]
    found = await outcome(pilot, await queue(pilot, requests))
    first, second, third = found["responses"]
    assert first == {
        "id": 0,
        "success": True,
        "external_reference": "first",
        "result": {
            "response": "where is new york?",
            "tool_calls": [],
            "usage": {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8},
        },
    }
    assert list(first) == ["id", "result", "success", "external_reference"]
    assert (second["id"], second["result"]["response"], second["external_reference"]) == (1, "a b", None)
    error = third.pop("error")
    assert third == {"id": 2, "result": None, "success": False, "external_reference": "wrong"}
    assert error["code"] == 5006
    assert error["message"].startswith("AiError: Bad input: Error: oneOf at '/' not met")
    assert found["usage"] == {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}


async def test_asking_again_with_the_query_or_without(pilot: Served) -> None:
    id = await queue(pilot, [{"prompt": "a"}])
    found = await outcome(pilot, id)
    for query in ("", "?queueRequest=true"):
        status, answer = await ask(pilot, {"request_id": id}, INT8, query)
        assert (status, answer["result"]) == (200, found)


async def test_the_option_may_stand_in_the_body(pilot: Served) -> None:
    status, answer = await ask(pilot, {"requests": [{"prompt": "a"}], "options": {"queueRequest": True}})
    assert (status, answer["result"]["status"]) == (200, "queued")
    await outcome(pilot, answer["result"]["request_id"])


async def test_a_query_may_hold_pythons_true(pilot: Served) -> None:
    status, answer = await ask(pilot, {"requests": [{"prompt": "a"}]}, INT8, "?queueRequest=True")
    assert (status, answer["result"]["status"]) == (200, "queued")
    await outcome(pilot, answer["result"]["request_id"])


async def test_embeddings_in_a_batch(pilot: Served) -> None:
    model = "@cf/baai/bge-small-en-v1.5"
    found = await outcome(pilot, await queue(pilot, [{"text": "a"}, {"text": ["b", "c"]}], model), model)
    assert [response["success"] for response in found["responses"]] == [True, True], found
    assert [response["result"]["shape"][0] for response in found["responses"]] == [1, 2]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"prompt": "a"}, "required properties at '/' are 'requests'"),
        ({"requests": "a"}, "Type mismatch of '/requests', 'string' not in 'array'"),
        ({"requests": []}, "Length of '/requests' must be >= 1"),
        ({"requests": ["a"]}, "Type mismatch of '/requests/0', 'string' not in 'object'"),
        ({"requests": [{"prompt": "a", "stream": True}]}, "'/requests/0/stream' cannot be true"),
        (
            {"requests": [{"prompt": "a", "external_reference": 3}]},
            "Type mismatch of '/requests/0/external_reference', 'integer' not in 'string'",
        ),
        ({"requests": [{"requests": [{"prompt": "a"}]}]}, "'/requests/0' is itself a batch"),
        ({"requests": [{"prompt": "a"}], "options": {"gateway": {"id": ""}}}, "options.gateway"),
        ({"request_id": 3}, "Type mismatch of '/request_id', 'integer' not in 'string'"),
        ({"request_id": "none"}, f"no batch of {INT8} has the request_id 'none'"),
    ],
)
async def test_what_is_refused(pilot: Served, body: Any, words: str) -> None:
    status, answer = await ask(pilot, body, INT8, "?queueRequest=true")
    assert (status, answer["errors"][0]["code"], answer["success"]) == (400, 5006, False)
    assert words in answer["errors"][0]["message"]


async def test_a_batch_is_its_models(pilot: Served) -> None:
    id = await queue(pilot, [{"prompt": "a"}])
    await outcome(pilot, id)
    status, answer = await ask(pilot, {"request_id": id}, "slow")
    assert (status, answer["errors"][0]["code"]) == (400, 5006)


async def test_a_model_there_is_not(pilot: Served) -> None:
    status, answer = await ask(pilot, {"requests": [{"prompt": "a"}]}, "@cf/none", "?queueRequest=true")
    assert (status, answer["errors"][0]["code"]) == (400, 5007)


async def test_more_than_ten_megabytes(pilot: Served) -> None:
    status, answer = await ask(pilot, {"requests": [{"prompt": "x" * 10_000_000}]}, INT8, "?queueRequest=true")
    assert (status, answer["errors"][0]["code"]) == (413, 3006)


async def test_each_request_passes_the_gateway(pilot: Served) -> None:
    options = {"gateway": {"id": "g", "cacheTtl": 60}}
    for _ in range(2):
        found = await outcome(pilot, await queue(pilot, [{"prompt": "kept"}], options=options))
        assert found["responses"][0]["result"]["response"] == "kept"
    async with asyncio.timeout(30):
        while len(logs := gateway_logs(pilot)) < 2:  # they are written after the answer
            await asyncio.sleep(0.05)
    assert [log["cached"] for log in logs] == [False, True]


def gateway_logs(pilot: Served) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(pilot.folder / ".pilot/state/ai-gateway-logs.sqlite", timeout=20)) as file:
        if not file.execute("SELECT 1 FROM sqlite_master WHERE name = 'log'").fetchone():
            return []
        return [json.loads(row) for [row] in file.execute("SELECT content FROM log WHERE gateway = 'g'")]


async def test_who_asks_now_does_not_wait_for_the_queue(pilot: Served) -> None:
    """Eight run at once, and none of these ends."""
    id = await queue(pilot, [{"prompt": "a b"}] * 100, "endless")
    await until(pilot, id, "endless", "running")
    async with asyncio.timeout(30):
        while running(pilot) < 8:
            await asyncio.sleep(0.02)
    status, answer = await ask(pilot, {"prompt": "now"})
    assert (status, answer["result"]["response"]) == (200, "now")
    later = await queue(pilot, [{"prompt": "a"}])
    assert (await ask(pilot, {"request_id": later}))[1]["result"]["status"] == "queued"
    assert running(pilot) == 8


def running(pilot: Served) -> int:
    with closing(sqlite3.connect(pilot.folder / ".pilot/state/ai-batch.sqlite", timeout=20)) as file:
        count: int = file.execute("SELECT count(*) FROM request WHERE state = 1").fetchone()[0]
    return count


async def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG + "[pilot]\nbatch_concurrency = 2\ndrain = 1\n", {"models.yaml": MODELS})
    async with serving(tmp_path) as first:
        done = await queue(first, [{"prompt": "done"}])
        found = await outcome(first, done)
        id = await queue(first, [{"prompt": f"number {n}"} for n in range(6)], "slow")
        await until(first, id, "slow", "running")
    with closing(sqlite3.connect(tmp_path / ".pilot/state/ai-batch.sqlite")) as file:
        states = {state for [state] in file.execute("SELECT state FROM request WHERE batch = ?", (id,))}
    assert states & {0, 1}  # it was not finished
    async with serving(tmp_path) as second:
        assert await outcome(second, done) == found
        answers = (await outcome(second, id, "slow"))["responses"]
        texts = [answer["result"]["response"].split()[:2] for answer in answers]
        assert texts == [["number", str(n)] for n in range(6)]


async def test_a_model_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    async with upstream() as server:
        models = f"remote: {{engine: openai, model: acme, options: {{base_url: '{server.url}', api_key: k}}}}\n"
        write(tmp_path, ENTRY, CONFIG, {"models.yaml": models})
        async with serving(tmp_path) as pilot:
            server.refusals[:] = [429, 400]
            id = await queue(pilot, [{"prompt": "a"}], "remote")
            [found] = (await outcome(pilot, id, "remote"))["responses"]
            assert (found["success"], len(server.asked)) == (False, 2)  # busy, then refused: that is final
            id = await queue(pilot, [{"prompt": "a"}], "remote")
            [found] = (await outcome(pilot, id, "remote"))["responses"]
            assert found["result"]["response"] == " word word word"


async def test_a_broken_disk_stops_the_queue_alone(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG, {".pilot/state/ai-batch.sqlite": "this is no database" * 1000})
    async with serving(tmp_path) as pilot:
        status, answer = await ask(pilot, {"requests": [{"prompt": "a"}]}, INT8, "?queueRequest=true")
        assert (status, answer["errors"][0]["code"]) == (500, 3043)
        assert "disk is full or broken" in answer["errors"][0]["message"]
        await pilot.says("ai-batch.sqlite: file is not a database")
        status, answer = await ask(pilot, {"prompt": "still here"})
        assert (status, answer["result"]["response"]) == (200, "still here")


# The store by itself


async def end_all(store: BatchStore) -> None:
    while (request := await store.next()) is not None:
        await store.end(request, Outcome({"id": request.number}))


async def test_ended_batches_make_room_and_waiting_ones_do_not(tmp_path: Path) -> None:
    store = BatchStore(tmp_path / "batch.sqlite", limit=1_000_000)
    text = "x" * 100_000
    await store.add("waiting", "m", {}, [{"prompt": text}])
    with pytest.raises(QueueFull):
        await store.add("huge", "m", {}, [{"prompt": text}] * 12)
    assert await store.progress("huge", "m") is None  # nothing of it stayed
    await end_all(store)
    for name in ("first", "second"):
        await store.add(name, "m", {}, [{"prompt": text}] * 4)
        request = await store.next()
        assert request is not None
        assert request.batch == name
        await store.end(request, Outcome({"id": 0}))
        while (request := await store.next()) is not None:
            await store.end(request, Outcome({"id": request.number, "result": text}))
    await store.add("third", "m", {}, [{"prompt": text}] * 4)
    assert await store.progress("first", "m") is None
    assert await store.progress("third", "m") is not None
    await store.aclose()
    assert (tmp_path / "batch.sqlite").stat().st_size < 1_600_000


async def test_ended_batches_are_kept_for_a_day(tmp_path: Path) -> None:
    store = BatchStore(tmp_path / "batch.sqlite")
    for name in ("old", "young", "waiting"):
        await store.add(name, "m", {}, [{"prompt": "a"}])
        if name != "waiting":
            await end_all(store)
    with closing(sqlite3.connect(tmp_path / "batch.sqlite", timeout=20)) as file, file:
        file.execute("UPDATE batch SET ended = ? WHERE id = 'old'", (time.time() - 25 * 3600,))
        file.execute("UPDATE batch SET created = 0 WHERE id = 'waiting'")
    await store.resume()
    assert [await store.progress(name, "m") is not None for name in ("old", "young", "waiting")] == [False, True, True]
    await store.aclose()


async def test_nothing_is_kept_after_the_end(tmp_path: Path) -> None:
    store = BatchStore(tmp_path / "batch.sqlite")
    adding = asyncio.create_task(store.add("first", "m", {}, [{"prompt": "a"}]))
    await asyncio.sleep(0)
    await store.aclose()
    await adding  # asked for before the end, it was done
    with pytest.raises(StoreError, match="closed"):
        await store.progress("first", "m")
    again = BatchStore(tmp_path / "batch.sqlite")
    assert await again.progress("first", "m") is not None
    await again.aclose()


async def test_a_full_disk_is_an_error_and_then_it_works_again(tmp_path: Path) -> None:
    """SQLite is told that it may have no more pages, which is how it meets a full disk."""
    store = BatchStore(tmp_path / "batch.sqlite")
    await store.add("first", "m", {}, [{"prompt": "a"}])

    def pages(most: int) -> Any:
        return store._database.do(lambda db: db.execute(f"PRAGMA max_page_count = {most}").fetchone())

    await pages(1)
    with pytest.raises(StoreError, match="database or disk is full"):
        await store.add("second", "m", {}, [{"prompt": "x" * 100_000}])
    assert await store.progress("second", "m") is None
    assert await store.progress("first", "m") is not None
    await pages(1_000_000)
    await store.add("second", "m", {}, [{"prompt": "x" * 100_000}])
    assert await store.progress("second", "m") is not None
    await store.aclose()
