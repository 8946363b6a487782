"""A worker with a database that runs what it is sent: each test's piece of worker code goes through the front door."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import aiohttp

from dev_server import Pilot, StartPilot

CONFIG = """
name = "keeper"
main = "entry.py"
compatibility_date = "2026-11-01"

[[d1_databases]]
binding = "DB"
database_name = "main"
database_id = "11111111-2222-4333-8444-555555555555"
"""
WORKER = '''
import asyncio, json
from textwrap import indent
from pyodide.ffi import JsException
from workers import Response, WorkerEntrypoint

def plain(value):
    if isinstance(value, JsException):
        return {"name": value.name, "message": value.message, "cause": getattr(value, "cause", None)}
    return f"{type(value).__name__}: {value}"

async def caught(awaitable):
    """What it raises, as the worker sees it."""
    try:
        result = await awaitable
    except JsException as error:
        return error.message
    return f"no error: {result}"

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        names = {"asyncio": asyncio, "json": json, "caught": caught, "JsException": JsException, "Response": Response}
        exec("async def piece(env, db):\\n" + indent(await request.text(), "    "), names)
        result = await names["piece"](self.env, self.env.DB)
        return result if isinstance(result, Response) else Response(json.dumps(result, default=plain))
'''

Ask = Callable[[str], Awaitable[Any]]
"""Runs worker code with ``env`` and ``db``; what it returns, as JSON says it."""


def project(folder: Path, config: str = CONFIG) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "wrangler.toml").write_text(config)
    (folder / "entry.py").write_text(WORKER)
    return folder


@asynccontextmanager
async def asking(pilot: Pilot) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as http:

        async def ask(code: str) -> Any:
            async with http.post(pilot.url, data=dedent(code).strip()) as response:
                text = await response.text()
                assert response.status == 200, f"{text}\n{pilot.log()[-2000:]}"
                return json.loads(text)

        yield ask


@asynccontextmanager
async def database(start_pilot: StartPilot, folder: Path, *args: str, config: str = CONFIG) -> AsyncIterator[Ask]:
    async with asking(await start_pilot(project(folder, config), *args)) as ask:
        yield ask
