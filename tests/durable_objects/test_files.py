"""The files of objects: what a newer release has written is left alone, what an older one has is brought up to date."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from bindings.base import ProductContext
from bindings.durable_objects.alarms import STEPS as ALARM_STEPS
from bindings.durable_objects.alarms import Clock, Key
from bindings.durable_objects.storage import entries, log
from bindings.durable_objects.storage.failures import Stale
from bindings.durable_objects.storage.file import ObjectFile
from bindings.durable_objects.storage.log import CHECKPOINT_PAGES
from bindings.durable_objects.storage.schema import STEPS, NewerFile
from bindings.sqlite import StoreError
from runtime.supervisor.observe import make_observer

KEY = Key("worker", "Class", "0" * 64)


class Owner:
    """What an object's file has to do with."""

    def __init__(self, path: Path) -> None:
        self.rung: list[int | None] = []
        self.failures: list[BaseException] = []
        self.is_alone = False
        self.file = ObjectFile(path, self.ring, self.failures.append, alone=lambda: self.is_alone)

    async def ring(self, due: int | None) -> None:
        self.rung.append(due)

    async def kept(self) -> None:
        while (waits := self.file.kept()) is not None:
            await waits


async def test_a_file_of_each_release_is_brought_up_to_date(tmp_path: Path) -> None:
    for version in range(len(STEPS)):
        path = tmp_path / f"{version}.sqlite"
        with closing(sqlite3.connect(path)) as old:
            old.executescript("".join(STEPS[:version]) + f"PRAGMA user_version={version};")
        owner = Owner(path)
        entries.put(owner.file, "a", [1])
        await owner.kept()
        await owner.file.aclose()
        with closing(sqlite3.connect(path)) as now:
            assert now.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
            assert now.execute("SELECT key FROM _cf_KV").fetchall() == [("a",)]


async def test_a_file_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "newer.sqlite"
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version={len(STEPS) + 1}")
    before = path.read_bytes()
    owner = Owner(path)
    with pytest.raises(NewerFile, match="written by a newer release"):
        entries.put(owner.file, "a", 1)
    await owner.file.aclose()
    assert path.read_bytes() == before


@pytest.mark.parametrize("alone", [True, False])
async def test_where_nobody_else_waits_the_loop_waits_for_a_quick_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    monkeypatch.setattr(log, "QUICK_S", 60.0)  # however busy this one is
    owner, loop, turns = Owner(tmp_path / "a.sqlite"), asyncio.get_running_loop(), 0
    entries.put(owner.file, "a", 0)
    await owner.kept()  # the first sync is a thread's in any case

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    turn()  # again and again, until the test's loop ends
    owner.is_alone = alone
    for number in range(20):
        entries.put(owner.file, "a", number)
        await owner.kept()
    assert turns <= 20 * 8 if alone else turns > 20 * 8, "turns of the loop while 20 rounds came onto the disk"
    await owner.file.aclose()
    assert not owner.failures
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as now:
        assert len(now.execute("SELECT key FROM _cf_KV").fetchall()) == 1


async def test_what_an_event_has_written_is_in_the_log_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless somebody else waits, or more is to be done than that."""
    monkeypatch.setattr(log, "QUICK_S", 60.0)
    owner = Owner(tmp_path / "a.sqlite")
    entries.put(owner.file, "a", 0)
    await owner.kept()
    owner.is_alone = True

    def seen() -> object:
        for end in ("", "-wal"):
            shutil.copy(f"{owner.file.path}{end}", tmp_path / f"image{end}")
        with closing(sqlite3.connect(tmp_path / "image")) as image:
            return image.execute("SELECT count(*) FROM _cf_KV").fetchone()[0]

    entries.put(owner.file, "b", 1)
    assert owner.file.keep() is None
    assert seen() == 2
    owner.file.savepoint()
    entries.put(owner.file, "c", 2)
    assert owner.file.keep() is not None, "another event's transaction goes on"
    assert seen() == 2
    owner.file.release(undo=False)
    await owner.kept()
    owner.file.set_alarm(1)
    assert owner.file.keep() is not None, "the clock is to know of it first"
    await owner.kept()
    assert owner.rung == [1]
    owner.is_alone = False
    entries.put(owner.file, "d", 3)
    assert owner.file.keep() is not None
    await owner.kept()
    assert seen() == 4
    assert not owner.failures
    await owner.file.aclose()


async def test_a_log_that_has_grown_begins_anew(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "x.sqlite")
    for number in range(40):
        entries.put(owner.file, f"large{number % 3}", "x" * 400_000)  # a hundred pages
        await owner.kept()
    size = Path(f"{owner.file.path}-wal").stat().st_size
    await owner.file.aclose()
    assert size < 2 * CHECKPOINT_PAGES * 4120, "without its end, 4,000 pages"


async def test_room_in_the_log_is_its_end(tmp_path: Path) -> None:
    """As of a process that ends without closing it: what SQLite finds, before and after the log begins anew."""
    owner = Owner(tmp_path / "x.sqlite")
    for number in range(CHECKPOINT_PAGES):
        entries.put(owner.file, "a", number)
        entries.put(owner.file, f"large{number % 7}", "x" * (number % 50) * 500)
        await owner.kept()
        if number in (0, 1, 2, 5, 20, 100, CHECKPOINT_PAGES - 1):
            image = tmp_path / f"{number}.sqlite"
            for end in ("", "-wal"):
                shutil.copy(f"{owner.file.path}{end}", f"{image}{end}")
            with closing(apsw.Connection(str(image))) as found:
                assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                pages = int(found.execute("PRAGMA wal_checkpoint").fetchall()[0][1])
            again = Owner(image)
            assert entries.get(again.file, "a") == number
            await again.file.aclose()
            if number in (5, 20, 100):
                assert Path(f"{owner.file.path}-wal").stat().st_size > 32 + (pages + 1) * 4120
    await owner.file.aclose()
    assert not Path(f"{owner.file.path}-wal").exists()


async def test_two_that_have_a_file_open_do_not_both_write(tmp_path: Path) -> None:
    old, new = Owner(tmp_path / "x.sqlite"), Owner(tmp_path / "x.sqlite")
    entries.put(old.file, "a", 1)
    await old.kept()
    entries.put(new.file, "a", 2)
    await new.kept()
    with pytest.raises(Stale):
        entries.put(old.file, "a", 3)
    assert len(old.failures) == 1
    old.file.undo()
    await old.file.aclose()
    assert entries.get(new.file, "a") == 2
    entries.put(new.file, "a", 4)
    await new.kept()
    await new.file.aclose()


async def test_the_clock_hears_of_earlier_alarms_before_and_of_later_ones_after(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "x.sqlite")
    told: list[tuple[int | None, object]] = []

    async def ring(due: int | None) -> None:
        with closing(apsw.Connection(str(owner.file.path))) as beside:  # another SQLite would drop this one's locks
            told.append((due, beside.execute("SELECT value FROM _cf_METADATA WHERE key = 1").fetchone()))

    owner.file._ring = ring
    for due in (5000, 3000, 9000, None):
        owner.file.open()
        owner.file.set_alarm(due)
        await owner.kept()
    assert told == [(5000, None), (3000, (5000,)), (9000, (9000,)), (None, None)]
    await owner.file.aclose()


async def test_alarms_of_a_newer_release_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "alarms.sqlite"
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version={len(ALARM_STEPS) + 1}")
    clock = Clock(path, ProductContext(tmp_path, tmp_path, on_host=False, observer=make_observer(None)))
    with pytest.raises(StoreError, match="newer release"):
        await clock.ring(KEY, None, 5000)
    await clock.aclose()


async def test_what_is_written_together_is_kept_together_and_an_abort_forgets_it(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "x.sqlite")
    entries.put(owner.file, "a", 1)
    await owner.kept()
    entries.put(owner.file, "a", 2)
    entries.put(owner.file, "b", 2)
    owner.file.undo()
    await owner.file.aclose()
    again = Owner(tmp_path / "x.sqlite")
    assert entries.get_many(again.file, ["a", "b"]) == {"a": 1}
    await again.file.aclose()
    await asyncio.sleep(0)
