"""A file that goes from the disk to the socket: to clients that are slow, that leave, that ask for two at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import Host, hosting
from serving import Served, connect, raw
from sites import get, lay_out, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = os.urandom(12_000_000)  # more than a socket's buffers take
FILES: dict[str, str | bytes] = {"large.bin": LARGE, "small.txt": "small"}
REQUEST = b"GET /large.bin HTTP/1.1\r\nhost: x\r\n%b\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with site(tmp_path_factory.mktemp("site"), FILES, script=None) as running:
        yield running


async def test_a_slow_client_gets_all_of_it_and_holds_up_nobody(pilot: Served) -> None:
    reader, writer = await connect(pilot)
    writer.write(REQUEST % b"connection: close\r\n")
    got = bytearray(await reader.readuntil(b"\r\n\r\n"))
    await asyncio.sleep(0.2)  # the socket is full by now
    assert (await get(pilot, "/small.txt")).body == b"small"
    got += await reader.read()
    assert bytes(got).partition(b"\r\n\r\n")[2] == LARGE
    writer.close()


async def test_many_at_once(pilot: Served) -> None:
    answers = await asyncio.gather(*(get(pilot, "/large.bin") for _ in range(8)))
    assert all(answer.body == LARGE for answer in answers)


async def test_one_connection_after_another_request_and_before_one(pilot: Served) -> None:
    small = b"GET /small.txt HTTP/1.1\r\nhost: x\r\n%b\r\n"
    pipelined = small % b"" + REQUEST % b"" + small % b"" + REQUEST % b"" + small % b"connection: close\r\n"
    answer = await raw(pilot, pipelined)
    heads = answer.replace(LARGE, b"[large]").split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [head.partition(b"\r\n\r\n")[2] for head in heads] == [b"small", b"[large]", b"small", b"[large]", b"small"]


async def test_clients_of_http_1_0_and_those_that_have_shut_down_their_half(pilot: Served) -> None:
    for request, end in ((b"GET /large.bin HTTP/1.0\r\n\r\n", False), (REQUEST % b"connection: close\r\n", True)):
        assert (await raw(pilot, request, end=end)).partition(b"\r\n\r\n")[2] == LARGE


async def test_a_client_that_leaves_lets_go_of_the_file(pilot: Served) -> None:
    for _ in range(20):
        reader, writer = await connect(pilot)
        writer.write(REQUEST % b"")
        await reader.read(1000)
        writer.close()
    descriptors = Path(f"/proc/{pilot.process.pid}/fd")
    async with asyncio.timeout(20):
        while any("large.bin" in os.readlink(link) for link in _links(descriptors)):
            await asyncio.sleep(0.05)
    assert not [event for event in pilot.events if event["event"] == "fault"]
    assert (await get(pilot, "/large.bin")).body == LARGE


def _links(folder: Path) -> list[Path]:
    return [link for link in folder.iterdir() if link.is_symlink()] if folder.is_dir() else []


async def test_a_file_that_becomes_shorter_on_its_way_ends_the_connection(pilot: Served) -> None:
    file = pilot.folder / "public/shrinks.bin"
    file.write_bytes(LARGE)
    assert (await get(pilot, "/shrinks.bin")).body == LARGE
    reader, writer = await connect(pilot)
    writer.write(b"GET /shrinks.bin HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    os.truncate(file, 100)
    async with asyncio.timeout(30):
        rest = await reader.read()
    writer.close()
    assert len(rest) < len(LARGE)
    assert (await get(pilot, "/shrinks.bin")).body == LARGE[:100]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_over_tls(tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", "req", *words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    folder = tmp_path / "site"
    lay_out(folder, FILES, script=None)
    async with hosting(tmp_path / "data", "--certificate", certificate, "--key", key) as host:
        name = {"host": "site.localhost"}
        await _deployed(host, folder, certificate)
        async with host.http.get(host.url + "/large.bin", headers=name) as answer:
            assert (answer.status, await answer.read()) == (200, LARGE)


async def _deployed(host: Host, folder: Path, certificate: str) -> None:
    host.token = (await host.cli("host", "--data", str(host.data), "token", "create", "ci")).strip()
    process = await asyncio.create_subprocess_exec(
        host.python, "-P", "-m", "runtime.cli", "deploy", cwd=folder, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PILOT_HOST": host.url.replace("127.0.0.1", "localhost"), "PILOT_API_TOKEN": host.token,
             "SSL_CERT_FILE": certificate},
    )  # fmt: skip
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
