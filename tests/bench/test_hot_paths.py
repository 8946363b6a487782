"""What the paths that are gone most cost, without a clock: calls of functions, which are the same on any machine.

Each figure stands in ``hot_paths.json``, by version of Python. One that is 5 % higher fails; one that is 5 % lower is a
gain to be kept, and fails as well. Either way, once it is meant to be so:

    RECORD=1 make test ARGS=tests/bench/test_hot_paths.py
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import pytest_asyncio

from hosting import worker
from serving import connect, serving, write

FIGURES = Path(__file__).with_name("hot_paths.json")
PYTHON = "{}.{}".format(*sys.version_info)
RECORD = "RECORD=1 make test ARGS=tests/bench/test_hot_paths.py"
TOLERANCE, FEW = 0.05, 5.0  # 5 %, or so many calls: what a request leaves behind is cleared away now and then
OF_A_STREAM = 0.1  # of a token: other timers go off meanwhile, and two tokens that come at once cost less
ROUNDS, REQUESTS = 7, 20
TOKENS, RATE = 31, 100  # of a stream; a second: each comes alone, unless the machine is busy
ANOTHER = any(os.environ.get(name) for name in ("LATEST", "LOWEST"))  # libraries than those the figures are of
MODEL = "@cf/meta/llama-2-7b-chat-int8"
CONFIG = """
[ai]
binding = "AI"

[[kv_namespaces]]
binding = "KV"
id = "counted"

[[services]]
binding = "SELF"
service = "test"
entrypoint = "Named"
"""
ENTRY = f"""
from workers import Response, URL, WorkerEntrypoint, fetch as outbound

class Named(WorkerEntrypoint):
    async def add(self, a, b):
        return a + b

async def fetch(request, env, ctx):
    path = URL(request.url).pathname
    if path == "/hello":
        return Response("Hello")
    if path == "/call":
        return Response(str(await env.SELF.add(1, 2)))
    if path == "/get":
        return Response(await env.KV.get("key"))
    if path == "/put":
        await env.KV.put("key", "value")
        return Response("put")
    if path.startswith("/events/"):
        port, events = path.split("/")[2:]
        return Response((await outbound(f"http://127.0.0.1:{{port}}/{{events}}")).body)
    way, tokens = path[1:].split("/")
    stream = await env.AI.run("{MODEL}", {{"prompt": "hi", "stream": True, "max_tokens": int(tokens)}})
    return Response(again(stream) if way == "again" else stream, headers={{"content-type": "text/event-stream"}})

async def again(stream):
    async for chunk in stream:
        yield chunk
"""
TAKEN = asyncio.Event()  # a chunk, by the client
Ask = Callable[[str], Awaitable[bytes]]
pytestmark = pytest.mark.skipif(ANOTHER, reason="the figures are of the libraries in uv.lock")


class Counted:
    """A worker's processes, and what they have called so far."""

    def __init__(self, folder: Path, ask: Ask) -> None:
        self._folder, self._ask = folder, ask

    def calls(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for path in self._folder.iterdir():
            role = path.name.partition("-")[0]
            found[role] = found.get(role, 0) + struct.unpack("=Q", path.read_bytes())[0]
        return found

    async def per_request(
        self, path: str, requests: int = REQUESTS, of: Callable[[list[float]], float] = min
    ) -> dict[str, float]:
        """By process; the least ``of`` several rounds, since timers of their own go off in some."""
        for _ in range(requests):
            await self._ask(path)  # what only the first ones pay
        rounds = []
        for _ in range(ROUNDS):
            await asyncio.sleep(0.02)  # what the last request leaves to be done
            before = self.calls()
            for _ in range(requests):
                await self._ask(path)
            await asyncio.sleep(0.02)
            after = self.calls()
            rounds.append({role: (after[role] - before[role]) / requests for role in before})
        return {role: of([each[role] for each in rounds]) for role in rounds[0]}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def counted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Counted]:
    folder = tmp_path_factory.mktemp("worker")
    models = {MODEL: {"preload": True, "echo": {"rate": RATE, "tokens": TOKENS}}}
    write(folder, ENTRY, CONFIG, {"models.yaml": json.dumps(models)})
    async with counting(folder, tmp_path_factory.mktemp("counts")) as found:
        yield found


@asynccontextmanager
async def counting(folder: Path, counts: Path, *arguments: str) -> AsyncIterator[Counted]:
    """What ``pilot dev`` calls there."""
    counting = Path(__file__).parents[1] / "support" / "counting"
    path = os.pathsep.join(filter(None, (str(counting), os.environ.get("PYTHONPATH"))))
    env = {"PYTHONPATH": path, "COUNTED_CALLS": str(counts)}
    async with serving(folder, "--log-level", "warning", *arguments, env=env) as pilot:
        reader, writer = await connect(pilot)
        yield Counted(counts, lambda path: asked(reader, writer, path))
        writer.close()


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    """One answer, on a connection that stays."""
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200"), head
    if b"content-length: " in head:
        return await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
    chunks = []
    while size := int(await reader.readline(), 16):
        chunks.append((await reader.readexactly(size + 2))[:-2])
        TAKEN.set()
    await reader.readline()
    return b"".join(chunks)


async def event_source(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """``/N``: N events, each once the client has the one before."""
    with suppress(asyncio.IncompleteReadError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(int(head.split()[1].strip(b"/"))):
                TAKEN.clear()
                writer.write(b"9\r\ndata: x\n\n\r\n")
                await TAKEN.wait()
            writer.write(b"0\r\n\r\n")
    writer.close()


def less(more: dict[str, float], base: dict[str, float]) -> dict[str, float]:
    return {role: more[role] - base[role] for role in more}


def judge(path: str, found: dict[str, float], *roles: str, slack: float = 0) -> None:
    """Against what is recorded; ``roles``: the processes that have a part in it."""
    figures: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    known = figures.setdefault(PYTHON, {})
    now = {role: round(found[role], 1) for role in roles}
    if os.environ.get("RECORD"):
        known[path] = now
        FIGURES.write_text(json.dumps(dict(sorted(figures.items())), indent=2) + "\n")
        return
    if path not in known:
        pytest.skip(f"no figure of Python {PYTHON}:  {RECORD}")
    for role, calls in now.items():
        recorded = known[path][role]
        within = recorded * slack or max(FEW, recorded * TOLERANCE)
        assert calls <= recorded + within, (
            f"{path}: {calls:g} calls in the {role} instead of {recorded:g}. If it has to be:  {RECORD}"
        )
        assert calls >= recorded - within, (
            f"{path}: only {calls:g} calls in the {role} instead of {recorded:g}. To keep that:  {RECORD}"
        )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_hello(counted: Counted) -> None:
    judge("a hello", await counted.per_request("/hello"), "supervisor", "isolate")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_hello_of_one_of_several_workers(tmp_path: Path) -> None:
    """Of whose requests somebody might be told."""
    for name in ("one", "other"):
        worker(tmp_path / name, ENTRY, name=name)
    both = ("-c", "one/wrangler.toml", "-c", "other/wrangler.toml")
    (tmp_path / "counts").mkdir()
    async with counting(tmp_path, tmp_path / "counts", *both) as several:
        judge("a hello of one of several", await several.per_request("/hello"), "supervisor")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_get_of_kv(counted: Counted) -> None:
    """Without what any request costs."""
    await counted.per_request("/put", 1)
    more = less(await counted.per_request("/get"), await counted.per_request("/hello"))
    judge("a get of KV", more, "supervisor", "isolate")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_call_of_a_workers_method(counted: Counted) -> None:
    """The same; caller and callee are one process."""
    more = less(await counted.per_request("/call"), await counted.per_request("/hello"))
    judge("a call of a worker's method", more, "supervisor", "isolate")


@pytest.mark.asyncio(loop_scope="module")
async def test_an_admitted_request(counted: Counted) -> None:
    """A stream's start to its end, one token."""
    judge("an admitted request", await counted.per_request("/tokens/1"), "supervisor", "isolate", "engine")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_token_that_the_worker_does_not_read(counted: Counted) -> None:
    judge("a token unread", await per_token(counted, "/tokens"), "supervisor", "engine", slack=OF_A_STREAM)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_token_that_the_worker_reads_and_writes_again(counted: Counted) -> None:
    judge("a token written again", await per_token(counted, "/again"), "supervisor", "isolate", slack=OF_A_STREAM)


async def per_token(counted: Counted, path: str) -> dict[str, float]:
    """Each of a stream's. The median, since two that come at once cost less."""
    one, many = await counted.per_request(f"{path}/1", 1), await counted.per_request(f"{path}/{TOKENS}", 1, median)
    return {role: calls / (TOKENS - 1) for role, calls in less(many, one).items()}


@pytest.mark.asyncio(loop_scope="module")
async def test_an_event_of_a_fetched_body_that_the_worker_does_not_read(counted: Counted) -> None:
    """The same, of another server's stream."""
    server = await asyncio.start_server(event_source, "127.0.0.1", 0)
    path = f"/events/{server.sockets[0].getsockname()[1]}/{{}}"
    one = await counted.per_request(path.format(1), 1)
    many = await counted.per_request(path.format(TOKENS), 1, median)
    server.close()
    more = {role: calls / (TOKENS - 1) for role, calls in less(many, one).items()}
    judge("an event unread", more, "supervisor", slack=OF_A_STREAM)
