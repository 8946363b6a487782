"""Sockets on a host: below a prefix, over TLS, within limits, and while versions come and go."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hosting import Host, hosting, worker
from socket_servers import echoing, opening

WORKER = (Path(__file__).parent / "sockets_worker.py").read_text()
DRAIN = "[pilot]\ndrain = 5\n"  # seconds: a deploy takes some of them, where others are at work too
LIMITS = ("sockets=30", "socket_queue_mb=40", "sockets_queue_mb=50", "subrequests=5", "cpu_ms=400", "stall_s=10")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("hosting")
    flags = [word for limit in LIMITS for word in ("--limit", limit)]
    async with hosting(folder / "data", "--isolates", "1", *flags) as running:
        for name in ("app", "other", "drained"):
            await running.deploy(worker(folder / name, WORKER, DRAIN if name == "drained" else "", name=name))
        yield running


def at(host: Host, path: str, name: str = "app") -> str:
    return f"{host.url}/_w/{name}/{path}"


async def test_below_a_prefix_and_by_a_hostname(host: Host) -> None:
    for url in (at(host, "echo"), f"{host.url.replace('127.0.0.1', 'app.localhost')}/echo"):
        async with opening(url, host="127.0.0.1") as socket:
            await socket.send("here")
            assert await socket.recv() == "here"


async def test_open_sockets_are_counted(host: Host) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(opening(at(host, "echo", "other")).__aenter__()) for _ in range(30)]
    sockets = [task.result() for task in tasks]
    with pytest.raises(InvalidStatus) as caught:
        async with opening(at(host, "echo", "other")):
            pass
    assert caught.value.response.status_code == 503
    await host.says("30 sockets open (sockets)")
    async with opening(at(host, "echo")) as socket:  # another worker's
        await socket.send("x")
        assert await socket.recv() == "x"
    for socket in sockets:
        await socket.close()
    async with opening(at(host, "echo", "other")) as socket:
        await socket.send("again")
        assert await socket.recv() == "again"


async def test_each_message_has_a_requests_limits(host: Host) -> None:
    async with opening(at(host, "asks")) as socket:
        for count, said in ((4, "enough"), (5, "enough"), (6, "subrequests"), (3, "enough")):
            await socket.send(str(count))
            assert said in str(await socket.recv())
    async with opening(at(host, "spins")) as socket:
        await socket.send("no")
        assert await socket.recv() == "fine"
        await socket.send("spin")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1011
    async with opening(at(host, "spins")) as socket:
        await socket.send("no")
        assert await socket.recv() == "fine"


async def test_what_waits_for_all_clients_of_a_worker_has_a_limit(host: Host) -> None:
    """Two that do not read, and of which neither alone is beyond it."""
    since = len(host.events)
    first = await opening(at(host, "flood"), max_queue=1, close_timeout=1).__aenter__()
    second = await opening(at(host, "flood"), max_queue=1, close_timeout=1).__aenter__()
    for socket in (first, second):
        await socket.send("36")
    await host.says("(sockets_queue_mb)", since=since, within=30)
    for socket in (first, second):
        socket.transport.abort()


async def test_only_allowed_addresses_are_asked(host: Host) -> None:
    async with echoing() as (server, url):
        status, _ = await host.get("app", f"/talks?to={url}")
        assert (status, list(server.connections)) == (500, [])
        await host.says("is not allowed")


async def test_a_process_that_dies_closes_its_sockets_alone(host: Host) -> None:
    async with opening(at(host, "echo", "other")) as other, opening(at(host, "echo")) as socket:
        await other.send("x")
        await other.recv()
        _, pid = await host.get("app", "/pid")
        os.kill(int(pid), 9)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1011
        await other.send("unharmed")
        assert await other.recv() == "unharmed"


async def test_a_new_version_leaves_a_socket_to_the_old_one_for_a_while(host: Host, tmp_path: Path) -> None:
    """For ``drain`` seconds, then it is closed, both ends are told so, and the old version's process ends."""
    async with opening(at(host, "says", "drained")) as socket:
        await host.deploy(worker(tmp_path, WORKER + "\n# new", DRAIN, name="drained"))
        await socket.send("x")
        assert await socket.recv() == "message True None 1 True False"
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 20)
        assert (socket.close_code, socket.close_reason) == (1012, "the worker has new code")
    await host.says("closed 1012 the worker has new code")
    async with opening(at(host, "echo", "drained")) as socket:
        await socket.send("new")
        assert await socket.recv() == "new"


async def test_tails_tell_of_openings(host: Host) -> None:
    process = await asyncio.create_subprocess_exec(
        host.python, "-P", "-m", "runtime.cli", "tail", "--name", "app", "--format", "json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PILOT_HOST": host.url, "PILOT_API_TOKEN": host.token},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            while True:
                async with opening(at(host, "echo")):
                    try:
                        line = await asyncio.wait_for(process.stdout.readline(), 1)
                        break
                    except TimeoutError:
                        continue
        assert b"/echo" in line
        assert b"101" in line
    finally:
        process.kill()
        await process.wait()


async def test_the_hosts_end_closes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, however long its drain: with a code that has clients come back. And over TLS."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trusting = ssl.create_default_context(cafile=certificate)
    async with hosting(tmp_path / "data", "--certificate", str(certificate), "--key", str(key)) as host:
        await host.deploy(worker(tmp_path / "app", WORKER))
        url = at(host, "echo")
        async with opening(url, ssl=trusting) as socket:
            for message in ("over TLS", os.urandom(3 << 20)):
                await socket.send(message)
                assert await socket.recv() == message
            host.process.terminate()
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 20)
            assert socket.close_code == 1012
        await asyncio.wait_for(host.process.wait(), 20)
