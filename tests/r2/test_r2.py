"""R2 as a worker uses it: every case is a function of r2_worker.py, behind a real socket."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from crashes import kill_again_and_again, kills
from families import family_bytes
from serving import Served, serving, write

WORKER = (Path(__file__).parent / "r2_worker.py").read_text()
CASES = [
    name for name in re.findall(r"^async def (\w+)\(r2\b", WORKER, re.MULTILINE) if not name.startswith("request_")
]
CONFIG = """
[[r2_buckets]]
binding = "R2"
bucket_name = "files"
[[r2_buckets]]
binding = "SAME"
bucket_name = "files"
[[r2_buckets]]
binding = "OTHER"
bucket_name = "others"
preview_bucket_name = "previews"
"""
MIB = 1024 * 1024
LARGE_MIB = int(os.environ.get("LARGE_MIB", "256"))  # of a body; at most 5 GiB - 5 MiB
LONG = aiohttp.ClientTimeout(total=1200)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("r2")
    write(folder, WORKER, CONFIG + "[pilot]\nbody_limit = '6GB'\n")
    async with serving(folder) as running:
        yield running


@pytest.mark.parametrize("case", CASES)
async def test_case(pilot: Served, case: str) -> None:
    assert await pilot.ask(f"/{case}") == (200, "held\n"), pilot.log()


async def test_a_body_goes_to_the_disk_and_back_unread(pilot: Served) -> None:
    """Neither way does it enter the worker's process."""
    content = bytes(range(256)) * 4096 * 40  # 40 MiB
    text = f"{len(content)} {hashlib.md5(content).hexdigest()}"
    assert await pilot.ask("/request_keeps_its_body", "POST", data=io.BytesIO(content)) == (200, text)
    async with pilot.http.get(pilot.url + "/request_gives_the_body") as response:
        assert response.headers["content-length"] == str(len(content))
        assert await response.read() == content
    async with pilot.http.get(pilot.url + "/request_gives_the_body", headers={"range": "bytes=-5"}) as response:
        assert await response.read() == content[-5:]


async def test_a_large_body_takes_no_memory(pilot: Served) -> None:
    """Of the supervisor's processes together, whichever way it goes."""
    before, most = family_bytes(pilot.process.pid), 0
    chunk = os.urandom(MIB)

    async def generated() -> AsyncIterator[bytes]:
        nonlocal most
        for number in range(LARGE_MIB):
            if number % 64 == 0:
                most = max(most, family_bytes(pilot.process.pid))
            yield chunk

    status, told = await pilot.ask("/request_keeps_its_body", "POST", data=generated(), timeout=LONG)
    assert (status, told.split()[0]) == (200, str(LARGE_MIB * MIB))
    seen = 0
    async with pilot.http.get(pilot.url + "/request_gives_the_body", timeout=LONG) as response:
        async for part in response.content.iter_chunked(MIB):
            if seen % (64 * MIB) < len(part):
                most = max(most, family_bytes(pilot.process.pid))
            seen += len(part)
    assert seen == LARGE_MIB * MIB
    assert most - before < 24 * MIB, f"{(most - before) / MIB:.1f} MiB"
    print(f"{LARGE_MIB} MiB there and back: {(most - before) / MIB:.1f} MiB more of {before / MIB:.0f}")
    assert await pilot.ask("/request_puts?key=body", "POST", data=b"") == (200, "put\n")


async def test_a_client_that_leaves_in_mid_upload_leaves_nothing(pilot: Served) -> None:
    async def leaves() -> AsyncIterator[bytes]:
        yield bytes(2 * MIB)
        raise ConnectionError

    assert await pilot.ask("/request_puts?key=body", "POST", data=b"before") == (200, "put\n")
    with pytest.raises((ConnectionError, aiohttp.ClientError)):
        await pilot.ask("/request_keeps_its_body", "POST", data=leaves())
    assert await pilot.ask("/request_gets?key=body") == (200, "before")


async def test_objects_outlive_saves_and_restarts(tmp_path: Path) -> None:
    write(tmp_path, WORKER, CONFIG)
    contents = {"small": b"x", "large": bytes(3 * MIB)}
    async with serving(tmp_path) as pilot:
        for key, content in contents.items():
            assert await pilot.ask(f"/request_puts?key={key}", "POST", data=io.BytesIO(content)) == (200, "put\n")
        assert await pilot.save(WORKER + "\n")
        assert await pilot.ask("/request_gets?key=small") == (200, "x")
    assert {path.name for path in (tmp_path / ".pilot/state/r2").iterdir()} == {"files", "previews"}
    async with serving(tmp_path) as pilot:
        for key, content in contents.items():
            assert await pilot.ask(f"/request_gets?key={key}") == (200, content.decode())


@pytest.mark.timeout(3600)
async def test_what_was_acknowledged_outlives_kills(tmp_path: Path) -> None:
    """An object is there as it was put, or it is not there."""
    write(tmp_path, WORKER, CONFIG)

    def content(number: int) -> str:
        return f"{number} " * (20_000 if number % 2 else 1)

    async def put(pilot: Served, number: int) -> bool:
        status, _ = await pilot.ask(f"/request_puts?key={number}", "POST", data=content(number))
        return status == 200

    async def lost(pilot: Served, tried: range, acknowledged: set[int]) -> set[int]:
        wrong = set[int]()
        for number in tried[-60:]:
            _, text = await pilot.ask(f"/request_gets?key={number}")
            if text != content(number) and (number in acknowledged or text != "(none)"):
                wrong.add(number)
        return wrong

    assert await kill_again_and_again(tmp_path, kills(8), put, lost) > 20


@pytest.mark.parametrize(
    ("config", "text"),
    [('bucket_name = "B_A"', "'bucket_name' is no name of a bucket: 'B_A'"),
     ('bucket_name = "ab"', "no name of a bucket"),
     ('bucket_name = "abc"\nremote = true', "env.R2 is remote, and Pilotlight keeps everything local")],
)  # fmt: skip
async def test_configurations_that_are_refused(tmp_path: Path, config: str, text: str) -> None:
    write(tmp_path, WORKER, f'[[r2_buckets]]\nbinding = "R2"\n{config}\n')
    with pytest.raises(AssertionError, match=re.escape(text)):
        async with serving(tmp_path):
            pass
