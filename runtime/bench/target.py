"""What is asked: a server that runs already, or the worker, started here for the length of the measurement."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec

from runtime.errors import UserError

_SHOWN_BYTES = 500  # of the body of a refusal


class Target(msgspec.Struct, frozen=True):
    """One request, asked over and over. ``url`` is whole, with its path."""

    name: str
    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@asynccontextmanager
async def worker(arguments: list[str], timeout_s: float, cpu: int | None = None) -> AsyncIterator[str]:
    """``pilot dev ARGUMENTS``, quiet; yields its address. Raises UserError with its output when it does not start."""
    quiet = ("--port", "0", "--log-format", "json", "--log-level", "warning")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "dev", *arguments, *quiet, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=1 << 24, preexec_fn=pinned_to(cpu),
    )  # fmt: skip
    assert process.stdout is not None
    output: deque[str] = deque(maxlen=40)
    reading = None
    try:
        url = await _ready(process.stdout, output, timeout_s)
        reading = asyncio.create_task(_drain(process.stdout, output))
        yield url
    finally:
        await asyncio.shield(_stop(process))
        if reading is not None:
            reading.cancel()


def pinned_to(cpu: int | None) -> Callable[[], None] | None:
    """For a child's first moment; None leaves it to the system."""
    return None if cpu is None or not hasattr(os, "sched_setaffinity") else lambda: os.sched_setaffinity(0, {cpu})


async def _ready(lines: asyncio.StreamReader, output: deque[str], timeout_s: float) -> str:
    try:
        async with asyncio.timeout(timeout_s):
            async for line in lines:
                if (url := _url(line)) is not None:
                    return url
                output.append(line.decode(errors="replace").rstrip())
    except TimeoutError:
        raise UserError(
            f"it was not ready within {timeout_s:g} s", where="pilot dev", remedy="\n".join(output)
        ) from None
    raise UserError("the worker could not be started", where="pilot dev", remedy="\n".join(output))


def _url(line: bytes) -> str | None:
    with suppress(msgspec.DecodeError):
        event = msgspec.json.decode(line)
        if isinstance(event, dict) and event.get("event") == "ready":
            return str(event["url"])
    return None


async def _drain(lines: asyncio.StreamReader, output: deque[str]) -> None:
    async for line in lines:
        output.append(line.decode(errors="replace").rstrip())


async def _stop(process: asyncio.subprocess.Process) -> None:
    """It ends what it started. Twice, for a stream that still has a reader."""
    for wait in (10.0, 5.0):
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await process.wait()
                return
    process.kill()
    await process.wait()


async def probe(target: Target, timeout_s: float) -> bool:
    """One request, up to its first bytes: is the answer an event stream? Raises UserError where it is refused."""
    import aiohttp

    options = {"headers": list(target.headers), "data": target.body.encode() or None, "allow_redirects": False}
    try:
        async with (
            asyncio.timeout(timeout_s),
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(), auto_decompress=False) as http,
            http.request(target.method, target.url, **options) as answer,  # type: ignore[arg-type]
        ):
            first = await answer.content.read(_SHOWN_BYTES)
    except TimeoutError:
        raise UserError(
            f"no answer within {timeout_s:g} s", where=target.url, remedy="Wait longer:  --wait 600"
        ) from None
    except (aiohttp.ClientError, ValueError, OSError) as error:
        reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        what = f"cannot be asked: {reason or type(error).__name__}"
        raise UserError(what, where=target.url, remedy="Start it first, or name another address.") from None
    if not 200 <= answer.status < 400:
        raise UserError(
            f"answered {answer.status}, so there is nothing to measure",
            where=f"{target.method} {target.url}",
            remedy=first.decode(errors="replace"),
        )
    return answer.content_type == "text/event-stream"
