"""One pilot for a whole test module: start-up is paid once, and a new entry is a save away."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from dev_server import READY, Pilot

Start = Callable[..., Awaitable["Served"]]  # ``await start(folder, *args, env={...})``

# A worker of many paths: ``/name`` is answered by its function ``name``, given what it asks for by name.
ROUTER = """
import inspect
from workers import URL

async def fetch(request, env, ctx):
    route = globals()[URL(request.url).pathname.strip("/").partition("/")[0] or "index"]
    known = {"request": request, "env": env, "ctx": ctx}
    answer = route(*[known[name] for name in inspect.signature(route).parameters])
    return await answer if inspect.isawaitable(answer) else answer
"""


class Served(Pilot):
    """A pilot with its folder and a client."""

    folder: Path
    http: aiohttp.ClientSession

    async def ask(self, path: str = "/", method: str = "GET", **options: Any) -> tuple[int, str]:
        """(status, text) of one request."""
        async with self.http.request(method, self.url + path, allow_redirects=False, **options) as response:
            return response.status, await response.text()

    async def told(self, path: str) -> Any:
        """The JSON of what it answers there."""
        status, text = await self.ask(path)
        assert status == 200, text
        return json.loads(text)

    async def save(self, entry: str, within: float = 30.0) -> bool:
        """Replace entry.py; whether it was taken."""
        since = len(self.events)
        (self.folder / "entry.py").write_text(entry)
        outcomes = ("reloaded", "script_error")
        async with asyncio.timeout(within):
            while not any(line["event"] in outcomes for line in self.events[since:]):
                await asyncio.sleep(0.01)
        return any(line["event"] == "reloaded" for line in self.events[since:])

    async def says(self, text: str, *, since: int = 0, within: float = 10.0) -> dict[str, Any]:
        """The first log line that holds ``text``."""
        try:
            async with asyncio.timeout(within):
                while True:
                    found = next((line for line in self.events[since:] if text in str(line)), None)
                    if found is not None:
                        return found
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"nothing says {text!r} in:\n{self.log()}") from None


def write(folder: Path, entry: str, config: str = "", files: dict[str, str] | None = None) -> None:
    texts = {"wrangler.toml": 'name = "test"\nmain = "entry.py"\n' + config, "entry.py": entry, **(files or {})}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@asynccontextmanager
async def serving(
    folder: Path,
    *args: str,
    env: dict[str, str] | None = None,
    port: tuple[str, ...] = ("--port", "0"),
    python: str = sys.executable,
    before: Callable[[], None] | None = None,
    engine: str | None = "echo",
) -> AsyncIterator[Served]:
    """``pilot dev --engine echo`` of the worker in ``folder``. ``before`` runs in the new process first; ``engine``
    None: as a person starts it."""
    chosen = () if engine is None else ("--engine", engine)
    process = await asyncio.create_subprocess_exec(
        python, "-P", "-m", "runtime.cli", "dev", "--log-format", "json", *chosen, *port, *args,
        cwd=folder, env={**os.environ, **(env or {})}, limit=1 << 24,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        preexec_fn=before,
    )  # fmt: skip
    pilot = Served(process)
    pilot.folder = folder
    try:
        pilot.url = (await pilot.event("ready", within=READY))["url"]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), auto_decompress=False) as http:
            pilot.http = http
            yield pilot
    finally:
        await pilot.stop()


def without(folder: Path, *modules: str) -> dict[str, str]:
    """The environment of a Python in which these modules cannot be found, as if they were not installed."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({modules}))\n")
    return {"PYTHONPATH": str(folder)}


async def raw(pilot: Served, request: bytes, *, end: bool = False) -> bytes:
    """Everything the server says to these very bytes before it closes the connection."""
    reader, writer = await connect(pilot)
    try:
        writer.write(request)
        if end:
            writer.write_eof()
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()


async def connect(pilot: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = pilot.url.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))
