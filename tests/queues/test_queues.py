"""Queues, through a worker that sends and consumes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = Path(__file__).with_name("queue_worker.py").read_text("utf-8")
CASES = [line.split("(")[0][14:] for line in WORKER.splitlines() if line.startswith("    async def ")]
CASES = [name for name in CASES if name not in ("fetch", "types", "queue")]
CONFIG = """
[[queues.producers]]
binding = "JOBS"
queue = "jobs"
[[queues.producers]]
binding = "KEPT"
[[queues.producers]]
binding = "LATER"
queue = "later"
[[queues.producers]]
binding = "MANY"
queue = "many"
[[queues.consumers]]
queue = "jobs"
max_batch_timeout = 0
dead_letter_queue = "dead"
[[queues.consumers]]
queue = "dead"
max_batch_size = 1
max_retries = 1
[[queues.consumers]]
queue = "later"
max_batch_timeout = 0.3
max_retries = 0
retry_delay = 86400
[[queues.consumers]]
queue = "many"
max_batch_size = 3
max_batch_timeout = 60
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("queues")
    write(folder, WORKER, CONFIG)
    async with serving(folder) as running:
        yield running


async def seen(pilot: Served, wanted: Callable[[list[Any]], bool]) -> list[Any]:
    """What the consumer has been given, once it is as wanted."""
    async with asyncio.timeout(30):
        while True:
            status, text = await pilot.ask("/seen")
            assert status == 200, text
            if wanted(found := json.loads(text)):
                return found
            await asyncio.sleep(0.02)


async def send(pilot: Served, queue: str, *messages: dict[str, Any]) -> None:
    body = json.dumps([queue, [{"body": message} for message in messages]])
    assert await pilot.ask("/send", "POST", data=body) == (200, "sent"), pilot.log()


def marked(found: list[Any], mark: str) -> list[Any]:
    return [row for row in found if isinstance(row[4], dict) and row[4].get("mark") == mark]


@pytest.mark.parametrize("case", CASES)
async def test_case(pilot: Served, case: str) -> None:
    assert await pilot.ask(f"/{case}") == (200, "held"), pilot.log()


async def test_there_are_cases() -> None:
    assert len(CASES) >= 7


async def test_what_each_content_type_makes_of_a_body(pilot: Served) -> None:
    assert await pilot.ask("/types") == (200, "sent"), pilot.log()
    found = await seen(pilot, lambda rows: sum(row[0] == "jobs" for row in rows) >= 5)
    as_json, text, raw, cloned, nothing = [row[4] for row in found if row[0] == "jobs"][:5]
    kinds = {"bytes": "JsDict", "set": "JsDict", "at": "str", "none": "NoneType", "list": "JsArray"}
    assert as_json["kinds"] == kinds
    assert as_json["at"].endswith(".678Z")
    assert (text, raw, nothing) == ("text", {"bytes": "0102"}, None)
    assert cloned["kinds"] == {**kinds, "bytes": "memoryview", "set": "set", "at": "datetime"}
    assert cloned["at"] == "2026-01-02 03:04:05.678000"


async def test_a_batch_closes_when_it_is_full_and_when_its_time_is_over(pilot: Served) -> None:
    await send(pilot, "LATER", {"mark": "timed"}, {"mark": "timed"})
    rows = marked(await seen(pilot, lambda rows: len(marked(rows, "timed")) == 2), "timed")
    assert [row[1] for row in rows] == [2, 2]
    await send(pilot, "MANY", *({"mark": "full"} for _ in range(5)))  # its time is a minute
    rows = marked(await seen(pilot, lambda rows: len(marked(rows, "full")) == 3), "full")
    assert [row[1] for row in rows] == [3, 3, 3]
    await pilot.says("QUEUE many 3/3 (")


async def test_one_that_is_retried_keeps_its_id_and_becomes_a_dead_letter(pilot: Served) -> None:
    since = len(pilot.events)
    await send(pilot, "JOBS", {"mark": "again", "do": ["message.retry"]})
    rows = marked(await seen(pilot, lambda rows: len(marked(rows, "again")) == 5), "again")
    assert [(row[0], row[3]) for row in rows] == [("jobs", 1), ("jobs", 2), ("jobs", 3), ("dead", 1), ("dead", 2)]
    [id] = {row[2] for row in rows}
    moved = f'Moving message \\"{id}\\" on queue \\"jobs\\" to dead letter queue \\"dead\\" after 3 failed attempts...'
    assert moved in json.dumps(await pilot.says("Moving message", since=since))
    dropped = f'Dropped message \\"{id}\\" on queue \\"dead\\" after 2 failed attempts!'
    assert dropped in json.dumps(await pilot.says("Dropped message", since=since))
    await pilot.says("QUEUE dead 0/1 (", since=since)


@pytest.mark.parametrize(
    ("orders", "attempts"),
    [
        (["message.ack", "message.retry"], 1),
        (["message.retry", "message.ack"], 3),
        (["batch.ackAll", "message.retry"], 1),
        (["batch.retryAll", "message.ack"], 3),
        (["batch.ackAll", "batch.retryAll"], 1),
        (["batch.retryAll", "batch.ackAll"], 3),
        (["message.ack", "batch.retryAll"], 3),
        (["message.ack", "raise"], 3),
        (["message.retry 0", "batch.retryAll 86400"], 3),
        (["message.retry 86400"], 1),
        (["batch.retryAll 86400"], 1),
        (["message.retry 86401"], 3),
    ],
    ids=str,
)
async def test_the_first_word_counts(pilot: Served, orders: list[str], attempts: int) -> None:
    mark = " ".join(orders)
    await send(pilot, "JOBS", {"mark": mark, "do": orders})
    last = {"mark": f"after {mark}"}
    await seen(pilot, lambda rows: len([row for row in marked(rows, mark) if row[0] == "jobs"]) >= attempts)
    await send(pilot, "JOBS", last)
    rows = marked(await seen(pilot, lambda rows: bool(marked(rows, f"after {mark}"))), mark)
    assert len([row for row in rows if row[0] == "jobs"]) == attempts


async def test_the_whole_batch_comes_again_when_the_handler_raises(pilot: Served) -> None:
    since = len(pilot.events)
    await send(pilot, "JOBS", {"mark": "beside"}, {"mark": "beside", "do": ["raise"]})
    rows = marked(await seen(pilot, lambda rows: len(marked(rows, "beside")) >= 6), "beside")
    assert [row[3] for row in rows[:6]] == [1, 1, 2, 2, 3, 3]
    assert "as it was told" in str(await pilot.says("script_error", since=since))


async def test_a_consumer_that_always_fails_holds_up_no_other(pilot: Served) -> None:
    await send(pilot, "LATER", {"mark": "fails", "do": ["raise"]})
    await send(pilot, "JOBS", {"mark": "fine"})
    await seen(pilot, lambda rows: bool(marked(rows, "fine")))
    await pilot.says("Dropped message", within=30)


async def test_a_new_version_takes_over_and_the_queue_goes_on(pilot: Served) -> None:
    assert await pilot.save(WORKER + "\n# saved\n")
    await send(pilot, "JOBS", {"mark": "after the save"})
    rows = marked(await seen(pilot, lambda rows: bool(marked(rows, "after the save"))), "after the save")
    assert rows[0][3] == 1


async def test_one_is_pushed_over_the_api(pilot: Served) -> None:
    body = json.dumps({"body": {"mark": "patient"}})
    url = f"{pilot.url}/client/v4/accounts/a/queues/jobs/messages"
    async with pilot.http.post(url, data=body, headers={"authorization": "Bearer any"}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["success"]) == (200, True)
    rows = marked(await seen(pilot, lambda rows: bool(marked(rows, "patient"))), "patient")
    assert rows[0][3] == 1
