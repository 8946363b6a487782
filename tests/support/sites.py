"""A site of static assets under ``pilot dev``, and a worker behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from yarl import URL

from serving import Served, serving

WORKER = """
from workers import Request, Response, URL

async def fetch(request, env, ctx):
    way, _, rest = URL(request.url).pathname[1:].partition("/")
    if way == "via":
        return await env.ASSETS.fetch(f"https://any.example/{rest}{URL(request.url).search}")
    if way == "manual":
        return await env.ASSETS.fetch(f"https://any.example/{rest}", redirect="manual")
    if way == "request":
        return await env.ASSETS.fetch(Request(f"https://any.example/{rest}", request))
    if way == "read":
        answer = await env.ASSETS.fetch(f"https://any.example/{rest}")
        return Response.json([answer.status, answer.url, answer.redirected, len(await answer.bytes())])
    return Response(f"worker {request.method}")
"""


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def lay_out(
    folder: Path, files: Mapping[str, str | bytes], *, script: str | None = WORKER, top: str = "", **table: object
) -> None:
    """``files``: of the folder ``public``. ``top``: further lines of the configuration; ``table``: of ``[assets]``."""
    for name, content in files.items():
        path = folder / "public" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    settings: dict[str, object] = {"directory": "public", **({"binding": "ASSETS"} if script else {}), **table}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    main = 'main = "entry.py"\n' if script else ""
    date = "" if "compatibility_date" in top else 'compatibility_date = "2025-09-01"\n'
    (folder / "wrangler.toml").write_text(f'name = "site"\n{main}{date}{top}\n[assets]\n' + "\n".join(lines) + "\n")
    if script:
        (folder / "entry.py").write_text(script)


@asynccontextmanager
async def site(folder: Path, files: Mapping[str, str | bytes], **how: Any) -> AsyncIterator[Served]:
    lay_out(folder, files, **how)
    async with serving(folder) as pilot:
        yield pilot


async def get(
    pilot: Served, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, prefix: str = ""
) -> Got:
    """``path`` is sent as it is."""
    address = URL(pilot.url + prefix + path, encoded=True)
    async with pilot.http.request(method, address, headers=headers, allow_redirects=False) as answer:
        names = {name.lower(): ", ".join(answer.headers.getall(name)) for name in answer.headers}
        return Got(answer.status, names, await answer.read())
