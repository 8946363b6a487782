"""TCP for workers on a host, which have no network of their own: what ``socket`` and the event loop lend them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hosting import Host, hosting, worker
from runtime.isolate import sandbox
from serving import ROUTER
from tcp_servers import certificate, echoes, greets, listening
from vendored import bring

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(sandbox.available()), reason="; ".join(sandbox.available())),
]
ENTRY = (
    ROUTER
    + """
import asyncio, contextlib, errno, gc, os, socket, ssl, threading, time, traceback, urllib.request
from urllib.parse import parse_qs, urlsplit
from workers import Response

def port(request):
    return int(request.url.rpartition("=")[2])

def raw(request):
    with socket.create_connection(("127.0.0.1", port(request)), timeout=20) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.sendall(b"x" * 3_000_000)
        one.shutdown(socket.SHUT_WR)
        with one.makefile("rb") as file:
            size = len(file.read())
        return Response.json([size, one.getpeername(), one.getsockname()[0], one.family.name, one.gettimeout()])

async def secure(request):
    context = ssl.create_default_context(cadata=await request.text())
    with socket.create_connection(("localhost", port(request)), timeout=20) as one:
        with context.wrap_socket(one, server_hostname="localhost") as over:
            over.sendall(b"hello")
            sync = over.recv(5).decode(), over.getpeername()[1] == port(request)
    reader, writer = await asyncio.open_connection("localhost", port(request), ssl=context)
    kept = writer.get_extra_info("socket")  # the loop's own, as httpx has it
    kept.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5)
    assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
    writer.write(b"there")
    text = (await reader.readexactly(5)).decode()
    writer.close()
    return Response.json([*sync, text])

def waits(request):
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port(request)), timeout=0.3) as one:
            one.recv(1)
    except TimeoutError:
        return Response.json(0.25 < time.monotonic() - began < 9)

async def blocks(request):
    with socket.create_connection(("127.0.0.1", port(request))) as one:
        return Response(one.recv(5))

def fails(request):
    told = []
    here = "127.0.0.1"
    for address in ((here, port(request)), ("nobody.invalid", 80), (here, "no such service")):
        try:
            socket.create_connection(address, timeout=20)
        except Exception as error:
            told.append(type(error).__name__)
    try:
        socket.socket().connect((here, 70_000))
    except OverflowError as error:
        told.append(str(error))
    return Response.json(told)

def many(request):
    for _ in range(30):
        socket.create_connection(("127.0.0.1", port(request))).close()
    return Response("done")

def kept(request):
    held = []
    try:
        for _ in range(30):
            held.append(socket.create_connection(("127.0.0.1", port(request))))
    except OSError as error:
        return Response(f"{len(held)} {error}")

def threads(request):
    sizes = []
    def asks():
        with socket.create_connection(("127.0.0.1", port(request)), timeout=20) as one:
            one.sendall(b"x" * 1000)
            sizes.append(len(one.recv(1000, socket.MSG_WAITALL)))
    ours = [threading.Thread(target=asks) for _ in range(8)]
    [one.start() for one in ours]
    [one.join() for one in ours]
    return Response.json(sizes)

def exits(request):
    one = socket.create_connection(("127.0.0.1", port(request)))
    one.recv(5)
    os._exit(0)

def others(request):
    told = {}
    peer, any = ("127.0.0.1", port(request)), ("127.0.0.1", 0)
    tries = {
        "udp": lambda: socket.socket(type=socket.SOCK_DGRAM), "raw": lambda: socket.socket(type=socket.SOCK_RAW),
        "bind": lambda: socket.socket().bind(any), "listen": lambda: socket.create_server(any),
        "unix": lambda: socket.socket(socket.AF_UNIX).connect("/run/x.sock"),
        "twice": lambda: socket.create_connection(peer).connect(peer),
        "unconnected": lambda: socket.socket().getpeername(),
    }
    for name, attempt in tries.items():
        try:
            attempt()
        except OSError as error:
            told[name] = errno.errorcode[error.errno]
    told["connect_ex"] = socket.socket().connect_ex(("127.0.0.1", 1)) == errno.ECONNREFUSED
    told["name"] = socket.gethostbyname("127.0.0.1")
    return Response.json(told)

def misuses(request):
    lines = [one for one in gc.get_objects() if type(one) is socket.socket and one.type == socket.SOCK_SEQPACKET]
    for line in lines:
        os.set_blocking(line.fileno(), True)
        for _ in range(300):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours, theirs:
                socket.send_fds(line, [b"nonsense"], [theirs.fileno()])
        with open("/dev/null") as null, contextlib.suppress(OSError):
            socket.send_fds(line, [b"nonsense"], [null.fileno()])
    try:
        socket.create_connection(("127.0.0.1", port(request)), timeout=20)
    except ConnectionError:
        return Response(f"{len(lines)}")

async def by_httpx(url):
    import httpx
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text

def by_httpx_in_a_thread(url):
    import httpx
    return httpx.get(url).text

def by_requests(url):
    import requests
    return requests.get(url).text

async def by_aiohttp(url):
    import aiohttp
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()

def by_urllib(url):
    return urllib.request.urlopen(url).read().decode()

async def by_asyncio(url):
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    return (await reader.read()).decode().partition("\\r\\n\\r\\n")[2]

async def clients(request):
    told = {}
    for name, client in [*globals().items()]:
        for url in parse_qs(urlsplit(request.url).query)["url"] if name.startswith("by_") else ():
            try:
                sync = not asyncio.iscoroutinefunction(client)
                told[f"{name} {url}"] = await (asyncio.to_thread(client, url) if sync else client(url))
            except Exception as error:
                told[f"{name} {url}"] = "".join(traceback.format_exception(error))
    return Response.json(told)
"""
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("lent")
    limits = ("--limit", "subrequests=40", "--limit", "sockets=20")
    async with hosting(folder / "data", "--allow", "127.0.0.0/8", "--isolates", "1", *limits) as running:
        bring(folder / "app", "httpx", "requests", "aiohttp", "typing_extensions")
        await running.deploy(worker(folder / "app", ENTRY))
        yield running


async def told(host: Host, path: str, port: int, **options: Any) -> Any:
    status, text = await host.get("app", f"/{path}?port={port}", **options)
    assert status == 200, text
    return json.loads(text)


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
    await writer.drain()


async def test_bytes_go_both_ways_and_half_of_it_closes_alone(host: Host) -> None:
    async with listening(echoes) as port:
        assert await told(host, "raw", port) == [3_000_000, ["127.0.0.1", port], "127.0.0.1", "AF_INET", 20]


async def test_tls_is_the_workers_own(host: Host, tmp_path: Path) -> None:
    authority, context = certificate(tmp_path)
    async with listening(echoes, context) as port:
        answer = await told(host, "secure", port, method="POST", data=authority.read_text())
    assert answer == ["hello", True, "there"]


async def test_clients_of_both_kinds(host: Host) -> None:
    async with listening(hello) as port:
        urls = f"http://127.0.0.1:{port}/", f"http://localhost:{port}/"
        body = json.loads((await host.get("app", f"/clients?url={urls[0]}&url={urls[1]}"))[1])
    assert len(body) == 12
    assert {name: said for name, said in body.items() if said != "hello"} == {}


async def test_an_address_that_is_refused_is_told_of(tmp_path: Path) -> None:
    bring(tmp_path / "app", "httpx", "requests", "aiohttp", "typing_extensions")
    async with listening(hello) as port, hosting(tmp_path / "data", "--isolates", "1") as closed:
        await closed.deploy(worker(tmp_path / "app", ENTRY))
        urls = f"http://127.0.0.1:{port}/", f"http://localhost:{port}/"
        body = json.loads((await closed.get("app", f"/clients?url={urls[0]}&url={urls[1]}"))[1])
        assert (await told(closed, "fails", port))[0] == "PermissionError"
    assert len(body) == 12
    said_less = body.pop(f"by_httpx {urls[0]}")  # of whatever is wrong with an address that has no name
    assert "All connection attempts failed" in said_less
    assert {name: said for name, said in body.items() if "the address 127.0.0.1 is not allowed" not in said} == {}


async def test_a_peer_that_says_nothing(host: Host) -> None:
    async with listening(echoes) as port:
        assert await told(host, "waits", port) is True


async def test_while_one_worker_waits_others_are_served(host: Host, tmp_path: Path) -> None:
    asked, may = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await may.wait()
        writer.write(b"hello")
        await writer.drain()

    other = "from workers import Response\nasync def fetch(request): return Response('at once')\n"
    await host.deploy(worker(tmp_path / "other", other, name="other"))
    async with listening(slow) as port:
        waiting = asyncio.create_task(host.get("app", f"/blocks?port={port}"))
        await asyncio.wait_for(asked.wait(), 20)
        assert await host.get("other") == (200, "at once")
        assert not waiting.done()
        may.set()
        assert await waiting == (200, "hello")


async def test_what_fails_has_the_exception_it_has_elsewhere(host: Host) -> None:
    async with listening(echoes) as port:
        pass
    expected = ["ConnectionRefusedError", "gaierror", "gaierror", "connect(): port must be 0-65535."]
    assert await told(host, "fails", port) == expected


async def test_what_is_counted(host: Host) -> None:
    """Connections count as subrequests of their event, and as sockets of the worker as long as they are open."""
    async with listening(echoes) as port:
        for _ in range(3):
            assert await host.get("app", f"/many?port={port}") == (200, "done")
        _, text = await host.get("app", f"/kept?port={port}")
    assert text == "20 [Errno 1] error 1015: the worker has 20 sockets open (sockets)"


async def test_threads_ask_beside_each_other(host: Host) -> None:
    async with listening(echoes) as port:
        assert await told(host, "threads", port) == [1000] * 8


async def test_what_is_no_connection_to_another(host: Host) -> None:
    async with listening(echoes) as port:
        found = await told(host, "others", port)
    refused = dict.fromkeys(("udp", "raw", "bind", "listen", "unix"), "EPERM")
    assert found == {**refused, "twice": "EISCONN", "unconnected": "ENOTCONN", "connect_ex": True, "name": "127.0.0.1"}


async def test_a_line_that_is_misused(host: Host, tmp_path: Path) -> None:
    """It is hung up on, and the worker beside it has its own."""
    await host.deploy(worker(tmp_path / "bad", ENTRY, name="bad"))
    async with listening(echoes) as port:
        assert await host.get("bad", f"/misuses?port={port}") == (200, "1")
        assert await told(host, "threads", port) == [1000] * 8


async def test_a_process_that_ends_leaves_no_connection(host: Host) -> None:
    gone = asyncio.Event()

    async with listening(greets(b"hello", gone)) as port:
        assert (await host.get("app", f"/exits?port={port}"))[0] >= 500
        await asyncio.wait_for(gone.wait(), 10)
