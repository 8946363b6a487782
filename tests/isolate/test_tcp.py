"""``cloudflare:sockets``: a worker's TCP connections, in the clear, with TLS, and with TLS that begins later."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hosting import hosting
from serving import ROUTER, Served, serving, write
from tcp_servers import certificate, echoes, greets, listening

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRY = (
    """
import asyncio
import os
from js import Object
from pyodide.ffi import JsException, to_js
from workers import Response, import_from_javascript
connect = import_from_javascript("cloudflare:sockets").connect

def port(request):
    return int(request.url.rpartition("=")[2])

async def line(stream):
    reader = stream.getReader()
    text = ""
    while not text.endswith("\\n"):
        result = await reader.read()
        if result.done:
            break
        text += result.value.to_bytes().decode()
    reader.releaseLock()
    return text

async def echo(request):
    socket = connect(f"127.0.0.1:{port(request)}")
    writer = socket.writable.getWriter()
    await writer.write(b"hello\\n")
    info = await socket.opened
    text = await line(socket.readable)
    await socket.close()
    await socket.closed
    late = ""
    try:
        await writer.write(b"late")
    except JsException as error:
        late = str(error)
    return Response.json([text, info.remoteAddress == f"127.0.0.1:{port(request)}", late, socket.secureTransport])

async def large(request):
    address = to_js({"hostname": "127.0.0.1", "port": port(request)}, dict_converter=Object.fromEntries)
    socket = connect(address, to_js({"allowHalfOpen": True}, dict_converter=Object.fromEntries))
    asyncio.ensure_future(request.body.pipeTo(socket.writable))  # the other end takes no more than is read from it
    return Response(socket.readable)

async def ended(request):
    socket = connect(f"127.0.0.1:{port(request)}")
    got = [chunk.to_bytes().decode() async for chunk in socket.readable]
    await socket.closed
    return Response.json(got)

async def left(request):
    socket = connect(f"127.0.0.1:{port(request)}")
    return Response(await line(socket.readable))

async def secure(request):
    socket = connect(f"localhost:{port(request)}", {"secureTransport": "on"})
    await socket.writable.getWriter().write("hello\\n")
    return Response.json([await line(socket.readable), socket.secureTransport])

async def wrong_name(request):
    socket = connect(f"127.0.0.2:{port(request)}", {"secureTransport": "on"})
    try:
        await socket.opened
    except JsException as error:
        return Response(str(error))

async def later(request):
    socket = connect(f"127.0.0.1:{port(request)}", {"secureTransport": "starttls"})
    writer = socket.writable.getWriter()
    await writer.write("STARTTLS\\n")
    ready = await line(socket.readable)
    writer.releaseLock()
    secured = socket.startTls(expectedServerHostname="localhost")
    await secured.writable.getWriter().write("hello\\n")
    text = await line(secured.readable)
    refused = []
    for one in (socket, secured):
        try:
            one.startTls()
        except JsException as error:
            refused.append(error.name)
    return Response.json([ready, text, socket.upgraded, secured.secureTransport, refused])

async def nobody(request):
    socket = connect(f"127.0.0.1:{port(request)}")
    seen = []
    for waited in (socket.opened, socket.closed):
        try:
            await waited
        except JsException as error:
            seen.append(str(error))
    return Response.json(seen)

async def exits(request):
    socket = connect(f"127.0.0.1:{port(request)}")
    await line(socket.readable)
    os._exit(0)

def wrong(request):
    seen = []
    for address in ("nowhere", "a:b", "a:70000", "a:1"):
        try:
            connect(address, {"secureTransport": "maybe"} if address == "a:1" else None)
        except JsException as error:
            seen.append(error.name)
    return Response.json(seen)
"""
    + ROUTER
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Served, ssl.SSLContext]]:
    folder = tmp_path_factory.mktemp("tcp")
    authority, context = certificate(tmp_path_factory.mktemp("certificate"))
    write(folder, ENTRY)
    async with serving(folder, env={"SSL_CERT_FILE": str(authority)}) as served:
        yield served, context


Serving = tuple[Served, ssl.SSLContext]


async def told(pilot: Served, path: str, port: int = 0, **options: Any) -> Any:
    status, text = await pilot.ask(f"{path}?port={port}", **options)
    assert status == 200, text
    return json.loads(text)


async def test_bytes_go_both_ways_until_it_is_closed(pilot: Serving) -> None:
    async with listening(echoes) as port:
        text, known, late, transport = await told(pilot[0], "/echo", port)
    assert (text, known, "closed" in late, transport) == ("hello\n", True, True, "off")


async def test_a_body_is_piped_through_a_server(pilot: Serving) -> None:
    sent = bytes(range(256)) * 40_000
    async with (
        listening(echoes) as port,
        pilot[0].http.post(f"{pilot[0].url}/large?p={port}", data=io.BytesIO(sent)) as answer,
    ):
        assert await answer.read() == sent


async def test_the_other_end_closes(pilot: Serving) -> None:
    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        await writer.drain()

    async with listening(says) as port:
        assert await told(pilot[0], "/ended", port) == ["bye"]


async def test_one_that_a_script_forgets_ends_with_its_event(pilot: Serving) -> None:
    ended = asyncio.Event()

    async with listening(greets(b"hello\n", ended)) as port:
        assert (await pilot[0].ask(f"/left?port={port}"))[1] == "hello\n"
        await asyncio.wait_for(ended.wait(), 10)


async def test_tls_from_the_start(pilot: Serving) -> None:
    async with listening(echoes, pilot[1]) as port:
        assert await told(pilot[0], "/secure", port) == ["hello\n", "on"]


async def test_a_certificate_of_another_name_is_refused(pilot: Serving) -> None:
    server = await asyncio.start_server(echoes, "127.0.0.2", 0, ssl=pilot[1])
    async with server:
        _, text = await pilot[0].ask(f"/wrong_name?port={server.sockets[0].getsockname()[1]}")
    assert "TLS Handshake Failed" in text
    assert "not valid for" in text


async def test_tls_that_begins_later(pilot: Serving) -> None:
    async def upgrades(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"220 ready\n")
        await writer.drain()
        await writer.start_tls(pilot[1])
        await echoes(reader, writer)

    async with listening(upgrades) as port:
        expected = ["220 ready\n", "hello\n", True, "on", ["TypeError", "TypeError"]]
        assert await told(pilot[0], "/later", port) == expected


async def test_nobody_listens(pilot: Serving) -> None:
    async with listening(echoes) as port:
        pass
    seen = await told(pilot[0], "/nobody", port)
    assert [f"cannot connect to the specified address: 127.0.0.1:{port}" in text for text in seen] == [True, True]


async def test_a_worker_that_ends_leaves_no_connection(pilot: Serving) -> None:
    gone = asyncio.Event()

    async with listening(greets(b"hello\n", gone, half=True)) as port:
        assert (await pilot[0].ask(f"/exits?port={port}"))[0] == 500
        await asyncio.wait_for(gone.wait(), 10)


async def test_addresses_and_options_that_are_none(pilot: Serving) -> None:
    assert await told(pilot[0], "/wrong") == ["TypeError"] * 4


async def test_on_a_host_the_rules_of_outbound_fetches_hold(tmp_path: Path) -> None:
    folder = tmp_path / "worker"
    folder.mkdir()
    write(folder, ENTRY)
    async with listening(echoes) as port:
        async with hosting(tmp_path / "closed") as host:
            await host.deploy(folder)
            _, text = await host.get("test", f"/nobody?port={port}")
            assert "the address 127.0.0.1 is not allowed" in text
        async with hosting(tmp_path / "open", "--allow", "127.0.0.0/8") as host:
            await host.deploy(folder)
            assert json.loads((await host.get("test", f"/echo?port={port}"))[1])[0] == "hello\n"
