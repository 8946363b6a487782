"""What is sent stays until it is dealt with: over restarts, dying processes, and commands beside the server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crashes import kill_again_and_again
from families import ZYGOTE, running
from serving import Served, serving, write

KILLS = int(os.environ.get("KILLS", "3"))
# Each number is written down before it is acknowledged; it is told apart what is handled first and what comes again.
ENTRY = """
import os
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        number = int(request.url.partition("?")[2])
        delay = number % 3 == 2
        await self.env.JOBS.send(number, delaySeconds=int(delay))
        return Response("sent")

    async def queue(self, batch, env, ctx):
        with open("handled.txt", "a") as file:
            file.write("".join(f"{message.body} {message.attempts}\\n" for message in batch.messages))
        if os.path.exists("die"):
            os.kill(os.getpid(), 9)
"""
CONFIG = """
[[queues.producers]]
binding = "JOBS"
queue = "jobs"
[[queues.consumers]]
queue = "jobs"
max_batch_timeout = 0
max_batch_size = 10
"""
# Whoever changes the format adds a step to bindings/queues/store.py, and leaves this one as it is.
FIRST_FORMAT = """
CREATE TABLE message (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, sent INTEGER NOT NULL,
    due INTEGER NOT NULL, failed INTEGER NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL, moved INTEGER NOT NULL);
CREATE INDEX message_due ON message (due, seq);
CREATE UNIQUE INDEX message_moved ON message (id) WHERE moved=1;
CREATE TABLE total (messages INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO total VALUES (2, 2);
CREATE TABLE settings (json BLOB NOT NULL);
INSERT INTO settings VALUES ('{"delivery_delay":0,"message_retention_period":1209600,"delivery_paused":false}');
INSERT INTO message (id, sent, due, failed, type, body, moved) VALUES
    ('aa', 1700000000000, 1700000000000, 1, 'json', CAST('8' AS BLOB), 0),
    ('bb', 1700000000000, 1700000000001, 0, 'json', CAST('9' AS BLOB), 1);
PRAGMA user_version=1;
"""


def handled(folder: Path) -> list[tuple[int, int]]:
    """(number, attempts) in the order in which they came."""
    file = folder / "handled.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


async def has_handled(folder: Path, numbers: set[int], within: float = 30) -> None:
    async with asyncio.timeout(within):
        while not numbers <= {number for number, _ in handled(folder)}:
            await asyncio.sleep(0.02)


async def push(pilot: Served, number: int, delay: int = 0) -> None:
    """A message that no process of the worker's sends."""
    url, body = f"{pilot.url}/client/v4/accounts/a/queues/jobs/messages", {"body": number, "delay_seconds": delay}
    async with pilot.http.post(url, json=body, headers={"authorization": "Bearer any"}) as answer:
        assert answer.status == 200, await answer.text()


async def answered(pilot: Served, path: str) -> Any:
    """What the server says of the queue."""
    url = f"{pilot.url}/client/v4/accounts/a/queues/jobs{path}"
    async with pilot.http.get(url, headers={"authorization": "Bearer any"}) as answer:
        return (await answer.json(content_type=None))["result"]


def pilot_queues(folder: Path, *words: str) -> Any:
    """What the command prints with ``--json``."""
    command = [sys.executable, "-P", "-m", "runtime.cli", "queues", *words, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_no_acknowledged_message_is_lost_whatever_is_killed(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)

    async def send(pilot: Served, number: int) -> bool:
        if number % 40 == 7:  # the isolate dies too, with a batch or a send in its hands
            for process in running(pilot.process.pid, ZYGOTE)[1:]:
                process.send_signal(signal.SIGKILL)
        status, _ = await pilot.ask(f"/?{number}")
        return status == 200

    async def lost(pilot: Served, tried: range, acknowledged: set[int]) -> set[int]:
        await has_handled(tmp_path, acknowledged)
        return {number for number, _ in handled(tmp_path)} - set(tried)

    assert await kill_again_and_again(tmp_path, KILLS, send, lost) > 0


async def test_what_waits_outlives_a_restart_with_its_delay(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG.replace("[[queues.consumers]]", "[[queues.consumers]]\nmax_concurrency = 2"))
    (tmp_path / "die").touch()
    async with serving(tmp_path) as pilot:
        await push(pilot, 1)
        await push(pilot, 2, delay=1)
        await has_handled(tmp_path, {1})
        await pilot.says("1 message comes again on queue")
        pilot.process.kill()
        await pilot.process.wait()
    (tmp_path / "die").unlink()
    async with serving(tmp_path):
        await has_handled(tmp_path, {1, 2})
        first = [attempts for number, attempts in handled(tmp_path) if number == 1]
        assert len(first) > 1
        assert set(first) == {1}  # that its process ended was not the worker's failure


async def test_a_message_that_ends_its_process_again_and_again_does_not_do_so_for_ever(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG + "max_retries = 0\n")
    (tmp_path / "die").touch()
    async with serving(tmp_path) as pilot:
        await push(pilot, 1)
        since = 0
        for _ in range(4):
            await pilot.says("comes again on queue", since=since, within=30)
            since = len(pilot.events)
        (tmp_path / "die").unlink()
        await pilot.says("QUEUE jobs 1/1", within=60)


async def test_commands_work_beside_the_server(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path) as pilot:

        async def run(*words: str) -> Any:
            return await asyncio.to_thread(pilot_queues, tmp_path, *words)

        await run("send", "jobs", "5")
        await has_handled(tmp_path, {5})  # it was sent by another process
        await run("pause", "jobs")
        async with asyncio.timeout(30):  # the server sees it within a second or so
            while not (await answered(pilot, ""))["settings"]["delivery_paused"]:
                await asyncio.sleep(0.05)
        assert await pilot.ask("/?300") == (200, "sent")
        assert (await answered(pilot, "/metrics"))["backlog_count"] > 0
        info = await run("info", "jobs")
        assert info["settings"]["delivery_paused"] is True
        [oldest, *_] = await run("peek", "jobs")
        assert json.loads(oldest["body"]) % 3 == 0
        [row] = await run("list")
        assert (row["queue_name"], row["backlog_count"]) == ("jobs", info["backlog_count"])
        await run("resume", "jobs")
        await has_handled(tmp_path, {300})
        await run("pause", "jobs")
        await run("send", "jobs", '"gone"')
        await run("purge", "jobs")
        assert (await run("info", "jobs"))["backlog_count"] == 0
        await run("create", "other", "--delivery-delay-secs", "60")
        await run("send", "other", "words", "--type", "text")
        assert (await run("info", "other"))["settings"]["delivery_delay"] == 60
        await run("delete", "other")
        assert [one["queue_name"] for one in await run("list")] == ["jobs"]


async def test_without_a_consumer_messages_are_kept(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG.partition("[[queues.consumers]]")[0])
    async with serving(tmp_path) as pilot:
        for number in (3, 4, 6):
            assert await pilot.ask(f"/?{number}") == (200, "sent")
    assert (await asyncio.to_thread(pilot_queues, tmp_path, "info", "jobs"))["backlog_count"] == 3
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path):
        await has_handled(tmp_path, {3, 4, 6})
        assert [number for number, _ in handled(tmp_path)] == [3, 4, 6]


async def test_what_is_too_old_goes_and_a_full_queue_refuses(tmp_path: Path) -> None:
    config = CONFIG.partition("[[queues.consumers]]")[0] + '[pilot]\nqueue_size = "1KB"\n'
    write(tmp_path, ENTRY, config)
    async with serving(tmp_path) as pilot:
        status, text = await pilot.ask("/?1")
        assert (status, "the queue is full: it keeps 1000 bytes ([pilot] queue_size) (15000)" in text) == (500, True)
    write(tmp_path, ENTRY, CONFIG.partition("[[queues.consumers]]")[0])
    async with serving(tmp_path) as pilot:
        assert await pilot.ask("/?1") == (200, "sent")
    with closing(sqlite3.connect(tmp_path / ".pilot/state/queues/jobs/queue.sqlite")) as file, file:
        file.execute("UPDATE message SET sent=sent-5*86400000")
    async with serving(tmp_path) as pilot:
        await pilot.says('1 messages on queue \\"jobs\\" were too old'.replace('\\"', '"'))
    assert (await asyncio.to_thread(pilot_queues, tmp_path, "info", "jobs"))["backlog_count"] == 0


async def test_a_file_of_the_first_format_is_read(tmp_path: Path) -> None:
    folder = tmp_path / ".pilot/state/queues/jobs"
    folder.mkdir(parents=True)
    (folder / "about.json").write_text('{"id":"jobs","name":"jobs","created":"2026-11-27T00:00:00.000Z","facts":{}}')
    with closing(sqlite3.connect(folder / "queue.sqlite")) as file:
        file.executescript(FIRST_FORMAT)
        file.execute("UPDATE message SET sent=?", [int(time.time() * 1000)])
        file.commit()
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path):
        await has_handled(tmp_path, {8, 9})
    assert handled(tmp_path) == [(8, 2), (9, 1)]
    with closing(sqlite3.connect(folder / "queue.sqlite")) as file:
        assert file.execute("SELECT messages, bytes FROM total").fetchall() == [(0, 0)]


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ('[[queues.consumers]]\nqueue = "a"\nmax_batch_size = 101\n', "[[queues.consumers]] #1, max_batch_size"),
        ('[[queues.consumers]]\nqueue = "a"\nmax_batch_timeout = 61\n', "max_batch_timeout"),
        ('[[queues.consumers]]\nqueue = "a"\nmax_retries = 101\n', "max_retries"),
        ('[[queues.consumers]]\nqueue = "a"\nretry_delay = -1\n', "retry_delay"),
        ('[[queues.consumers]]\nqueue = "a"\nmax_concurrency = 251\n', "max_concurrency"),
        ("[[queues.consumers]]\nmax_retries = 1\n", "has no 'queue'"),
        ('[[queues.consumers]]\nqueue = "a"\ntype = "http_pull"\n', "consumers that pull over HTTP are not available"),
        ('[[queues.consumers]]\nqueue = "a"\n[[queues.consumers]]\nqueue = "a"\n', "has two consumers"),
        ('[[queues.producers]]\nqueue = "a"\n', "has no 'binding'"),
        ('[[queues.producers]]\nbinding = "A"\nqueue = "a b"\n', "no name of a queue"),
        ('[[queues.producers]]\nbinding = "A"\nqueue = "a"\nremote = true\n', "is remote"),
    ],
)
def test_wrong_settings_are_refused_with_their_place(tmp_path: Path, config: str, what: str) -> None:
    write(tmp_path, ENTRY, config)
    command = [sys.executable, "-P", "-m", "runtime.cli", "queues", "list"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, what in done.stderr) == (3, True), done.stderr
