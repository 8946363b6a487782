"""What ends a run, or begins it again: ``kill -9``, a save, a long wait. No step that has a result runs again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from crashes import kills
from serving import Served
from workflows_support import asks, noted, notes, reaches, running

KILLS = kills(6)
STEPS, AT_A_TIME = 40, 4


def kept(pilot: Served, sql: str) -> list[tuple[object, ...]]:
    path = pilot.folder / ".pilot/state/workflows/cases/workflow.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


async def until_let_go(pilot: Served) -> None:
    async with asyncio.timeout(30):
        while kept(pilot, "SELECT count(*) FROM instances WHERE due IS NOT NULL AND status = 'running'") != [(1,)]:
            await asyncio.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


async def kill_isolate(pilot: Served) -> None:
    os.kill(pid := await asks(pilot, "where"), signal.SIGKILL)
    async with asyncio.timeout(20):
        while (await pilot.ask("/where", "POST", json={}))[0] != 200 or await asks(pilot, "where") == pid:
            await asyncio.sleep(0.01)  # another one takes its place once the server knows


async def begin(pilot: Served, case: str, id: str, **params: object) -> str:
    assert await asks(pilot, "create", options={"id": id, "params": {"case": case, **params}}) == id
    return id


async def test_a_server_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    async with running(tmp_path) as pilot:
        held, nap = await begin(pilot, "held", "held"), await begin(pilot, "napping", "nap", ms=500)
        await noted(pilot, f"{held} held")
        await noted(pilot, f"{nap} before")
        pilot.process.kill()
        await pilot.process.wait()
    async with running(tmp_path) as pilot:
        (notes(pilot) / f"go-{held}").touch()
        assert (await reaches(pilot, held, "complete"))["output"] == "done"
        assert (await reaches(pilot, nap, "complete"))["output"] == "rested"
        lines = await noted(pilot, f"{held} after")
        assert [lines.count(f"{held} {name}") for name in ("before", "held", "after")] == [1, 2, 1]
        assert lines.count(f"{nap} before") == 1
        assert kept(pilot, "SELECT count(*) FROM attempts") == [(0,)]  # nobody blames a step for the server's end


async def test_a_process_that_is_killed_fails_the_attempt_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as pilot:
        id = await begin(pilot, "held", "held")
        await noted(pilot, f"{id} held")
        await kill_isolate(pilot)
        assert await pilot.says(f"instance {id} its run was lost")
        (notes(pilot) / f"go-{id}").touch()
        assert (await reaches(pilot, id, "complete"))["output"] == "done"
        lines = await noted(pilot, f"{id} after")
        assert [lines.count(f"{id} {name}") for name in ("before", "held", "after")] == [1, 2, 1]
        [(error,)] = kept(pilot, "SELECT error FROM attempts")
        assert "the worker's process ended" in str(error)


async def test_a_run_that_waits_is_let_go(tmp_path: Path) -> None:
    async with running(tmp_path) as pilot:
        id = await begin(pilot, "waits", "waits")
        await until_let_go(pilot)
        await kill_isolate(pilot)  # nothing of it is there
        event = {"type": "go", "payload": "at last"}
        await asks(pilot, "on_instance", id=id, method="send_event", args=[event])
        assert (await reaches(pilot, id, "complete"))["output"][1]["payload"] == "at last"


async def test_what_is_due_while_nobody_serves_goes_on_at_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path) as pilot:
        id = await begin(pilot, "napping", "nap", ms=1000)
        await noted(pilot, f"{id} before")
    async with running(tmp_path) as pilot:
        async with asyncio.timeout(30):
            while kept(pilot, "SELECT status FROM instances") != [("complete",)]:  # and nobody asks for it
                await asyncio.sleep(0.05)
        assert (await noted(pilot, f"{id} before")).count(f"{id} before") == 1


async def test_a_save_lets_the_old_version_go_and_the_new_one_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path) as pilot:
        old, id = await asks(pilot, "where"), await begin(pilot, "napping", "nap", ms=3000)
        held = await begin(pilot, "held", "held")
        await noted(pilot, f"{id} before")
        await noted(pilot, f"{held} held")
        lives = pilot.folder / "lives.py"
        lives.write_text(lives.read_text().replace('return "rested"', 'return "in new code"'))
        await pilot.event("reloaded")
        (notes(pilot) / f"go-{held}").touch()
        assert (await reaches(pilot, held, "complete"))["output"] == "done"  # to its end, in the code it began in
        async with asyncio.timeout(20):
            while not gone(old):
                await asyncio.sleep(0.02)
        assert (await reaches(pilot, id, "complete"))["output"] == "in new code"
        assert (await noted(pilot, f"{id} before")).count(f"{id} before") == 1


async def test_a_worker_that_does_not_load_is_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path) as pilot:
        entry = (pilot.folder / "entry.py").read_text()
        id = await begin(pilot, "napping", "nap", ms=3000)
        await noted(pilot, f"{id} before")
    async with running(tmp_path, entry="raise ValueError('broken')") as pilot:
        assert await pilot.says("waits, for its worker cannot run it")
        assert await pilot.save(entry)
        assert (await reaches(pilot, id, "complete"))["output"] == "rested"


async def test_killed_at_random_no_step_runs_twice_and_no_instance_is_lost(tmp_path: Path) -> None:
    chance, ids = random.Random(int(os.environ.get("SEED", 1))), list[str]()
    for number in range(KILLS):
        async with running(tmp_path) as pilot:
            ids += [
                await begin(pilot, "many", f"{number}-{at}", steps=STEPS, nap=STEPS // 2) for at in range(AT_A_TIME)
            ]
            await asyncio.sleep(chance.uniform(0, 0.4))
            if chance.random() < 0.5:
                await kill_isolate(pilot)
                await asyncio.sleep(chance.uniform(0, 0.6))
            pilot.process.kill()
            await pilot.process.wait()
    async with running(tmp_path) as pilot:
        for id in ids:
            assert (await reaches(pilot, id, "complete", within=120))["output"] == STEPS * (STEPS + 1) // 2
        lines = (notes(pilot) / "ran.txt").read_text().splitlines()
    again = 0
    for id in ids:
        ran = [int(line.split()[1]) for line in lines if line.startswith(f"{id} ")]
        assert ran == sorted(ran), f"{id}: a step that had a result ran again: {ran}"
        assert set(ran) == set(range(1, STEPS + 1))
        again += len(ran) - STEPS
    print(f"{KILLS} kills, {len(ids)} instances of {STEPS} steps: {again} attempts were under way and ran again")
