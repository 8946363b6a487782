"""``python -m bench.hostile``: how long a worker's requests take while another on the same host attacks it.

Each attack of ``workers/hostile.py`` is begun again and again for some seconds; meanwhile a neighbour is asked over one
connection, request after request. Uploads of forms come from a client. Names of attacks as arguments choose among them.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).parent
SECONDS = 4.0
BY_WORKER = ("junk", "huge", "claim", "deep", "map", "lists", "bytes", "calls", "tiny", "streams", "answers", "pulls",
             "cancels", "notes", "error", "stacks", "print", "line", "headers", "raise", "ai", "unread")  # fmt: skip
BY_CLIENT = ("none", "form", "fields", "form to AI")
NEIGHBOUR = "from workers import Response\nasync def fetch(request): return Response('fine')\n"
Attack = Callable[[aiohttp.ClientSession, str], Coroutine[Any, Any, object]]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), sys.argv[1:] or [*BY_CLIENT, *BY_WORKER]))


async def run(folder: Path, names: list[str]) -> None:
    host = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "host", "--data", str(folder / "data"), "--port", "0",
        "--engine", "echo", "--isolates", "1", "--log-format", "json", stdout=(folder / "log").open("wb"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        url = await ready(folder / "log")
        os.environ["PILOT_API_TOKEN"] = (folder / "data" / "token").read_text().strip()
        deploy(folder / "neighbour", url, "neighbour", NEIGHBOUR, "")
        deploy(
            folder / "hostile", url, "hostile", (HERE / "workers" / "hostile.py").read_text(), '[ai]\nbinding = "AI"\n'
        )
        print(f"{'attack':12} {'requests':>8} {'p50 ms':>8} {'p99 ms':>8} {'worst':>8}  what is said of it")
        for name in names:
            await measure(folder, url, name)
    finally:
        host.terminate()
        await host.wait()


async def ready(log: Path) -> str:
    while True:
        for line in log.read_text().splitlines():
            if line.startswith("{") and (event := json.loads(line))["event"] == "ready":
                return str(event["url"])
        await asyncio.sleep(0.05)


def deploy(folder: Path, url: str, name: str, entry: str, config: str) -> None:
    folder.mkdir()
    (folder / "wrangler.toml").write_text(f'name = "{name}"\nmain = "entry.py"\n{config}')
    (folder / "entry.py").write_text(entry)
    command = [sys.executable, "-P", "-m", "runtime.cli", "deploy", "--host", url]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env={**os.environ})


async def measure(folder: Path, url: str, name: str) -> None:
    said = (folder / "log").stat().st_size
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        attacking = asyncio.create_task(attack(http, url, name))
        times = await neighbour(http, url + "/_w/neighbour/")
        attacking.cancel()
        with suppress(asyncio.CancelledError):
            await attacking
    times.sort()
    figures = (times[len(times) // 2], times[len(times) * 99 // 100], times[-1])
    print(
        f"{name:12} {len(times):8}",
        *(f"{1000 * figure:8.1f}" for figure in figures),
        f" {ends(folder, said)}",
        flush=True,
    )
    await settled(url)


async def neighbour(http: aiohttp.ClientSession, url: str) -> list[float]:
    """Seconds that each request took, one after the other."""
    until, times = time.monotonic() + SECONDS, []
    while time.monotonic() < until:
        began = time.perf_counter()
        async with http.get(url) as response:
            assert await response.text() == "fine"
        times.append(time.perf_counter() - began)
        await asyncio.sleep(0.002)
    return times


async def attack(http: aiohttp.ClientSession, url: str, name: str) -> None:
    """Again and again."""
    while name != "none":
        with suppress(aiohttp.ClientError, TimeoutError):
            if name in BY_CLIENT:
                await post_form(http, url, name)
            else:
                async with http.get(f"{url}/_w/hostile/{name}") as response:
                    await response.read()
        await asyncio.sleep(0.05)


async def post_form(http: aiohttp.ClientSession, url: str, name: str) -> None:
    body, kind = form(name)
    path = "/accounts/x/ai/tomarkdown" if name == "form to AI" else "/accounts/host/workers/scripts/formed"
    method = "POST" if name == "form to AI" else "PUT"
    headers = {"content-type": kind, "authorization": f"Bearer {os.environ['PILOT_API_TOKEN']}"}
    async with http.request(method, f"{url}/client/v4{path}", data=body, headers=headers) as response:
        await response.read()


@cache
def form(name: str) -> tuple[bytes, str]:
    if name == "fields":
        return b"&".join([b"a=b"] * 1_000_000), "application/x-www-form-urlencoded"
    part = b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n\r\n'
    return part * 100_000 + b"--b--\r\n", "multipart/form-data; boundary=b"


def ends(folder: Path, since: int) -> str:
    """The first error that the log has of the attack."""
    with (folder / "log").open("rb") as log:
        log.seek(since)
        lines = [json.loads(line) for line in log.read().splitlines() if line.startswith(b"{")]
    words = [str(line.get("text") or line.get("what")) for line in lines if line["level"] == "error"]
    return min(words, key=lambda text: "ended" not in text, default="")[:110]


async def settled(url: str) -> None:
    """The attacker's next process has begun."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        for _ in range(200):
            with suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(f"{url}/_w/hostile/") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    main()
