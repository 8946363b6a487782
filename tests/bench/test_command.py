"""``pilot bench`` through the front door. How fast anything is, is no test."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest

import runtime.cli

ROOT = Path(__file__).parents[2]
BRIEF = ("--duration", "0.3", "--rounds", "2", "--warm-up", "0.2", "--streams", "1,4")
WORKER = """
from workers import Response

async def fetch(request, env, ctx):
    if request.method == "POST":
        return Response(await request.text(), headers={"content-type": "text/plain"})
    if "/sse" in request.url:
        return Response(await env.AI.run("@cf/bench/echo", {"prompt": "one two three", "stream": True}),
                        headers={"content-type": "text/event-stream"})
    return Response("hello")
"""
MODELS = '"@cf/bench/echo": {task: Text Generation, echo: {rate: 200, tokens: 8}}\n'
TRICKY = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
# Three events: the second is cut in its line ends, two share a chunk, and neither comment nor end mark counts.
LAST = b'data: {"usage":{"completion_tokens": 6}}\n\ndata: [DONE]\n\n'
PIECES = (b": hi\r\n\r\ndata: 1\r\n\r\n", b"data: 2\r\n\r", b"\n", LAST)


async def start(*arguments: str, folder: Path | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "bench", *arguments, cwd=folder or ROOT, env=os.environ.copy(),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def bench(*arguments: str, folder: Path | None = None) -> tuple[int, str, str]:
    """(status, stdout, stderr)"""
    process = await start(*arguments, folder=folder)
    async with asyncio.timeout(120):
        out, complaints = await process.communicate()
    return process.returncode or 0, out.decode(), complaints.decode()


async def figures(*arguments: str, folder: Path | None = None) -> dict[str, Any]:
    status, out, complaints = await bench(*arguments, "--format", "json", folder=folder)
    assert status == 0, complaints
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.fixture
async def server() -> AsyncIterator[Callable[[bytes], str]]:
    """A server's address by what it answers: ``server(status line and all)`` or the tricky stream."""
    answers: dict[str, bytes] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                path = line.split()[1].decode()
                writer.write(answers[path])
                for piece in PIECES if answers[path] is TRICKY else ():
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await asyncio.sleep(0)
                writer.write(b"0\r\n\r\n" if answers[path] is TRICKY else b"")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]

    def serve(content: bytes) -> str:
        path = f"/{len(answers)}"
        answers[path] = content
        return f"http://127.0.0.1:{port}{path}"

    yield serve
    listening.close()


@pytest.fixture
def worker(project: Callable[..., Path]) -> Path:
    return project(WORKER, '[ai]\nbinding = "AI"\n', {"models.yaml": MODELS})


async def test_a_streaming_worker(worker: Path, tmp_path: Path) -> None:
    """Tokens come at most at the engine's rate, for every stream; the report is written thrice."""
    out = tmp_path / "out"
    found = await figures("--engine", "echo", "--path", "/sse", *BRIEF, "--out", str(out), folder=worker)
    assert [(row["target"], row["streams"], len(row["rounds"])) for row in found["results"]] == [
        ("worker", 1, 2), ("worker", 4, 2)]  # fmt: skip
    for row in found["results"]:
        median = row["median"]
        assert {"events_per_s", "tokens_per_s", "ttft_p50_ms", "ttft_p99_ms", "itl_p50_ms", "itl_p99_ms"} <= set(median)
        assert median["events_per_s"] <= row["streams"] * 300
        assert 0 < median["ttft_p50_ms"] <= median["ttft_p99_ms"] <= median["latency_p99_ms"]
        assert row["lowest"]["events_per_s"] <= median["events_per_s"] <= row["highest"]["events_per_s"]
        assert row["failed"] == 0
    assert json.loads((out / "bench.json").read_text())["plan"] == found["plan"]
    assert "| worker | 4 |" in (out / "bench.md").read_text()
    assert ElementTree.parse(out / "bench.svg").getroot().tag.endswith("svg")


async def test_two_servers_in_turns(worker: Path, server: Callable[[bytes], str]) -> None:
    peer = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    arguments = ("--engine", "echo", *BRIEF, "--against", f"peer={peer}")
    status, out, output = await bench(*arguments, folder=worker)
    assert status == 0, output
    assert "worker ÷ peer" in out
    turns = [line.split()[2] for line in output.splitlines() if line.startswith("round") and " 4 streams" in line]
    assert turns == ["worker", "peer", "peer", "worker"]


async def test_a_posted_body_is_answered(worker: Path) -> None:
    (worker / "body.json").write_text('{"a": 1}')
    found = await figures("--engine", "echo", "-d", "@body.json", *BRIEF, folder=worker)
    assert found["targets"][0]["method"] == "POST"
    assert all(row["median"]["requests_per_s"] > 0 for row in found["results"])
    assert "events_per_s" not in found["results"][0]["median"]


async def test_events_are_counted_exactly(server: Callable[[bytes], str]) -> None:
    found = await figures(server(TRICKY), *BRIEF)
    for row in found["results"]:
        for window in row["rounds"]:
            begun = window["requests"] + row["streams"]
            assert 3 * window["requests"] <= window["events"] <= 3 * begun, window
            rates = window["figures"]
            assert rates["tokens_per_s"] == pytest.approx(2 * rates["events_per_s"])


async def test_an_answer_that_ends_with_its_connection(server: Callable[[bytes], str]) -> None:
    """Closed by the server each time: counted, connected anew, and no failure."""
    found = await figures(server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), *BRIEF)
    assert all(row["median"]["requests_per_s"] > 0 and row["failed"] == 0 for row in found["results"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("http://127.0.0.1:1/",), "cannot be asked"),
        (("--streams", "1,zero", "http://127.0.0.1:1/"), "--streams"),
        (("ftp://127.0.0.1/",), "is not an address"),
        (("http://127.0.0.1:1/", "-H", "no colon"), "is not a header"),
        (("http://127.0.0.1:1/", "-d", "@/no/such/file"), "cannot read /no/such/file"),
        (("no_such_worker.py",), "no_such_worker.py"),
    ],
)  # fmt: skip
async def test_what_cannot_be_measured_is_said(arguments: tuple[str, ...], words: str) -> None:
    status, out, output = await bench(*arguments, "--wait", "60")
    assert status == 3, output
    assert words in output
    assert not out
    assert "Traceback" not in output


async def test_a_refusal_is_shown(server: Callable[[bytes], str]) -> None:
    status, _, output = await bench(server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\nno such page"), *BRIEF)
    assert status == 3
    assert "answered 404" in output
    assert "no such page" in output


async def test_ctrl_c_shows_what_there_is(server: Callable[[bytes], str]) -> None:
    url = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    process = await start(url, "--duration", "0.2", "--rounds", "1000", "--streams", "1", "--format", "json")
    assert process.stderr is not None
    async with asyncio.timeout(60):
        async for line in process.stderr:
            if line.startswith(b"round 2"):
                break
        process.send_signal(signal.SIGINT)
        out, output = await process.communicate()
    assert process.returncode == 130, output.decode()
    assert len(json.loads(out)["results"][0]["rounds"]) >= 2
    assert b"interrupted" in output
    assert b"Traceback" not in output


async def test_more_streams_than_open_files_are_usually_allowed(project: Callable[..., Path]) -> None:
    """Both the worker's server and the load ask for what the system grants."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most[1] < 1000:
        pytest.skip("the hard limit is too low")
    folder = project("from workers import Response\n\ndef fetch():\n    return Response('hello')\n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (250, most[1]))
    try:
        found = await figures("--streams", "400", "--rounds", "1", "--warm-up", "0", "--duration", "1", folder=folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    assert found["results"][0]["failed"] == 0
    assert found["results"][0]["rounds"][0]["requests"] >= 400


def test_the_readme_shows_what_there_is() -> None:
    """Every flag in its examples is one of the command's."""
    section = (ROOT / "README.md").read_text("utf-8").partition("## Measuring\n")[2].partition("\n## ")[0]
    shown = set(re.findall(r"(?<!\w)--?[a-z][a-z-]*", section.partition("`make bench`")[0]))
    assert {"--against", "-d"} <= shown
    bench = runtime.cli.main.commands["bench"]
    known = {flag for param in bench.get_params(click.Context(bench)) for flag in param.opts}
    assert shown - known <= {"--help"}
