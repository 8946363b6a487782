"""Folders of resources, large content beside rows, and who has a state folder."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bindings.storage.blobs import Blobs, BlobStream
from bindings.storage.claim import claim, holder
from bindings.storage.names import safe_name
from bindings.storage.resources import About, Resources
from runtime.errors import UserError


class Folder:
    def __init__(self, folder: Path, about: About) -> None:
        self.folder, self.about, self.closed = folder, about, False

    async def aclose(self) -> None:
        self.closed = True


def resources(state: Path) -> Resources[Folder]:
    return Resources(state, "things", Folder)


def test_a_name_is_one_file_each() -> None:
    names = ["a", "A", "a/b", "a-b", "../x", ".", "", "é", "con.1", "x" * 64, "x" * 65, "x" * 66, "a\0", "\ud800"]
    files = [safe_name(name) for name in names]
    assert len({file.lower() for file in files}) == len(names)
    assert all(file == os.path.basename(file) and file.strip(".") and len(file) <= 80 for file in files)
    assert safe_name("0f2ac74b498b48028cb68387c421e279") == "0f2ac74b498b48028cb68387c421e279"
    assert not any("." in name or safe_name(name) != name for name in ("a-b", "a", "x" * 64))


async def test_a_resource_is_opened_once(tmp_path: Path) -> None:
    things = resources(tmp_path)
    assert things.find("a") is None
    one = things.get("A/1", "first", {"size": 3})
    assert things.get("A/1") is one
    assert things.find("A/1") is one
    assert (one.about.id, one.about.name, one.about.facts) == ("A/1", "first", {"size": 3})
    assert one.folder.is_relative_to(tmp_path / "things")
    await things.aclose()
    assert one.closed
    again = resources(tmp_path)
    assert [(about.id, about.name) for about in again.all()] == [("A/1", "first")]
    assert again.get("A/1", "other name").about.name == "first"


async def test_a_resource_that_is_removed_is_gone(tmp_path: Path) -> None:
    things = resources(tmp_path)
    one = things.get("a")
    (one.folder / "content").write_text("x")
    assert await things.remove("a")
    assert one.closed
    assert not await things.remove("a")
    assert (things.all(), list((tmp_path / "things").iterdir())) == ([], [])
    assert not (things.get("a").folder / "content").exists()


async def test_what_another_process_has_removed_is_closed(tmp_path: Path) -> None:
    things, others = resources(tmp_path), resources(tmp_path)
    one = things.get("a")
    others.describe(About("a", "renamed", one.about.created))
    assert things.find("a") is one
    assert await others.remove("a")
    assert things.find("a") is None
    await asyncio.sleep(0)
    assert one.closed
    two, _ = things.get("b"), await others.remove("b")
    others.get("b")
    assert things.find("b") is not two
    await things.aclose()
    assert two.closed


def test_a_broken_description_is_told(tmp_path: Path) -> None:
    folder = resources(tmp_path).get("a").folder
    (folder / "about.json").write_text("{")
    with pytest.raises(UserError, match=r"about\.json: cannot be read"):
        resources(tmp_path).find("a")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "things").write_text("in its way")
    with pytest.raises(UserError, match=r"things/a: cannot be written: Not a directory"):
        resources(tmp_path).create("a")
    with pytest.raises(UserError, match=r"things: cannot be written: File exists"):
        claim(tmp_path / "things")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def content(blobs: Blobs, name: str, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in BlobStream(blobs.open(name), offset, length)])


async def test_content_is_whole_or_absent(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    body = [bytes([number]) * 300_000 for number in range(10)]
    name, size = await blobs.write(chunks(*body))
    assert size == 3_000_000
    assert await content(blobs, name) == b"".join(body)
    assert await content(blobs, name, 299_999, 2) == b"\0\1"
    assert await content(blobs, name, 2_999_999) == b"\x09"

    async def breaks_off() -> AsyncIterator[bytes]:
        yield bytes(2_000_000)
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await blobs.write(breaks_off())
    assert [file.name for file in blobs.folder.iterdir()] == [name]


async def test_content_that_is_read_may_be_removed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    name, _ = await blobs.write(chunks(b"x" * 1_000_000))
    reading = BlobStream(blobs.open(name))
    first = await anext(reading)
    blobs.remove(name)
    blobs.remove(name)
    assert len(first) + sum([len(chunk) async for chunk in reading]) == 1_000_000


async def test_what_a_crash_left_is_swept(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    assert Blobs(tmp_path / "none").sweep(()) == 0
    names = [(await blobs.write(chunks(b"x")))[0] for _ in range(3)]
    (tmp_path / "ab.part").write_bytes(b"half")
    hour_ago = time.time() - 3600
    for name in (names[0], names[1], "ab.part"):
        os.utime(tmp_path / name, (hour_ago, hour_ago))
    assert blobs.sweep({names[0]}) == 2  # the third may be about to be named
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted((names[0], names[2]))


def test_a_state_folder_has_one_supervisor(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bindings.storage.claim import claim; claim(Path(sys.argv[1]));"
        "print('mine', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(UserError, match=rf"process {other.pid} \(since 20..-.*\) keeps its state there\n.*Stop"):
            claim(tmp_path)
        other.kill()
    os.close(claim(tmp_path))
    found = holder(tmp_path)
    assert found is not None
    assert found.pid == os.getpid()


async def test_writers_at_once_have_files_of_their_own(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    written = await asyncio.gather(*(blobs.write(chunks(bytes([n]) * n)) for n in range(1, 20)))
    assert [await content(blobs, name) for name, _ in written] == [bytes([n]) * n for n in range(1, 20)]
