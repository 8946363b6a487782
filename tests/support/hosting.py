"""A real `pilot host`, and the command line that speaks to it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import ClientResponse

from dev_server import READY
from serving import Served

API = "/client/v4/accounts/host/workers"
OWN_ROUTES = ("/client/v4/", "/__pilot/")


class Host(Served):
    """A running host. ``data`` is its data directory; ``token`` is sent by the command line, and with every request to
    the host's own routes that brings no other."""

    data: Path
    token, python = "", sys.executable

    async def with_token(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> ClientResponse:
        own = request.url.path.startswith(OWN_ROUTES)
        if own and self.token and "authorization" not in request.headers:
            request.headers["authorization"] = f"Bearer {self.token}"
        return await handler(request)

    async def cli(self, *args: str, stdin: str = "", fails: bool = False, cwd: Path | None = None) -> str:
        """What `pilot ARGS` prints; with ``fails``, what it says on its way out."""
        process = await asyncio.create_subprocess_exec(
            self.python, "-P", "-m", "runtime.cli", *args, cwd=cwd, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PILOT_HOST": self.url, "PILOT_API_TOKEN": self.token},
        )  # fmt: skip
        out, err = await process.communicate(stdin.encode())
        assert bool(process.returncode) == fails, (process.returncode, out.decode(), err.decode(), self.log()[-3000:])
        return (err if fails else out).decode()

    async def deploy(self, folder: Path, *args: str) -> str:
        """The new version's id."""
        return (await self.cli("deploy", *args, cwd=folder)).split("version ")[1].split()[0]

    async def api(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """(status, envelope) of a call below `workers/`."""
        url = self.url + (path if path.startswith("/") else f"{API}/{path}")
        async with self.http.request(method, url, json=body, **options) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, name: str, path: str = "/", **options: Any) -> tuple[int, str]:
        """One request to a worker."""
        return await self.ask(f"/_w/{name}{path}", **options)


@asynccontextmanager
async def hosting(
    data: Path,
    *args: str,
    engine: str | None = "echo",
    env: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
    python: str = sys.executable,
    port: int = 0,
) -> AsyncIterator[Host]:
    """``before`` runs in the new process, before it is the host. With a ``port`` it is there as soon as that accepts,
    whatever is still being restored."""
    process = await asyncio.create_subprocess_exec(
        python, "-P", "-m", "runtime.cli", "host", "--data", str(data), "--port", str(port), "--log-format", "json",
        *(["--engine", engine] if engine else []), "--isolates", "2", *args, env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1 << 24,
        preexec_fn=before,
    )  # fmt: skip
    host = Host(process)
    host.data, host.python = data, python
    try:
        host.url = await _accepting(port) if port else (await host.event("ready", within=READY))["url"]
        if (first := Path(f"/proc/{process.pid}/root{data}/token")).is_file():  # it may have a disk of its own
            host.token = first.read_text().strip()
        connector = aiohttp.TCPConnector(ssl=False)  # a certificate of the test's own will do
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=60), auto_decompress=False, connector=connector,
            middlewares=(host.with_token,),
        ) as http:  # fmt: skip
            host.http = http
            yield host
    finally:
        await host.stop()


async def _accepting(port: int) -> str:
    async with asyncio.timeout(READY):
        while True:
            with suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                return f"http://127.0.0.1:{port}"
            await asyncio.sleep(0.01)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def worker(folder: Path, entry: str, config: str = "", name: str = "app", **files: str) -> Path:
    """A worker's folder."""
    texts = {"wrangler.toml": f'name = "{name}"\nmain = "entry.py"\n{config}', "entry.py": entry, **files}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def says(text: str) -> str:
    """An entry that answers with ``text``."""
    return f"from workers import Response\ndef fetch(request, env): return Response({text!r})\n"


@asynccontextmanager
async def tailing(host: Host, worker: str) -> AsyncIterator[asyncio.Queue[Any]]:
    """What a tail of this worker is told, event by event."""
    status, answer = await host.api("POST", f"scripts/{worker}/tails", {"filters": []})
    assert status == 200, answer
    events: asyncio.Queue[Any] = asyncio.Queue()

    async def read() -> None:
        async for message in socket:
            events.put_nowait(json.loads(message.data))

    async with host.http.ws_connect(answer["result"]["url"], protocols=("trace-v1",)) as socket:
        reading = asyncio.create_task(read())
        try:
            yield events
        finally:
            reading.cancel()
