"""What a host survives: full disks, uploads that are cut, its own death at any moment. Nothing is half-installed."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import ssl
import subprocess
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from families import ZYGOTE, running
from hosting import API, Host, hosting, says, worker

pytestmark = pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's")


def small_files() -> None:
    """As on a disk that is full: no file grows beyond a megabyte."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


async def test_a_full_disk_is_a_clear_error_and_nothing_is_lost(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data", before=small_files) as host:
        folder = worker(tmp_path / "app", says("one"))
        await host.deploy(folder)
        (folder / "large.bin").write_bytes(os.urandom(3 << 20))
        error = await host.cli("deploy", cwd=folder, fails=True)
        assert "cannot write its data" in error
        assert await host.get("app") == (200, "one")
        assert not list((tmp_path / "data" / "bundles").glob(".new-*"))
        (folder / "large.bin").unlink()
        (folder / "entry.py").write_text(says("two"))
        await host.deploy(folder)
        assert await host.get("app") == (200, "two")


async def test_an_upload_that_is_cut_leaves_nothing(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "app", says("one")))
        port = int(host.url.rpartition(":")[2])
        before = sorted(path.name for path in (tmp_path / "data" / "bundles").iterdir())
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"PUT {API}/scripts/app HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n"
            f"authorization: Bearer {host.token}\r\n"
            "content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        writer.write(head.encode())
        await writer.drain()
        writer.transport.abort()
        await host.says("client left")
        assert await host.get("app") == (200, "one")
        assert sorted(path.name for path in (tmp_path / "data" / "bundles").iterdir()) == before


async def test_killed_in_the_middle_of_deploys(tmp_path: Path) -> None:
    """Every deploy that was acknowledged is there afterwards, and the newest of them answers."""
    folder, acknowledged = worker(tmp_path / "app", says("v0")), list[str]()
    data = tmp_path / "data"

    async def deploys(host: Host) -> None:
        for number in range(100):
            (folder / "entry.py").write_text(says(f"v{number}"))
            acknowledged.append(await host.deploy(folder))

    async with hosting(data) as host:
        going = asyncio.create_task(deploys(host))
        while len(acknowledged) < 3:
            await asyncio.sleep(0.01)
        host.process.kill()
        await host.process.wait()
        with pytest.raises(AssertionError):
            await going
    left = [path for path in (data / "bundles").iterdir() if not path.name.startswith(".")]
    assert all(sorted(child.name for child in path.iterdir()) == ["entry.py"] for path in left)
    async with hosting(data) as host:
        versions = json.loads(await host.cli("versions", "--json", cwd=folder))
        assert set(acknowledged) <= {row["id"] for row in versions}
        status, text = await host.get("app")
        assert status == 200
        assert int(text[1:]) >= len(acknowledged) - 1


async def test_a_killed_zygote_is_replaced(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "app", says("one")))
        [zygote] = running(host.process.pid, ZYGOTE, recursive=False)
        zygote.kill()
        async with asyncio.timeout(60):
            while await host.get("app") != (200, "one"):
                await asyncio.sleep(0.05)
        await host.deploy(worker(tmp_path / "other", says("two"), name="other"))
        assert await host.get("other") == (200, "two")


async def test_over_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    async with hosting(tmp_path / "data", "--certificate", str(certificate), "--key", str(key)) as host:
        assert host.url.startswith("https://")
        form = aiohttp.FormData()
        form.add_field("metadata", json.dumps({"main_module": "entry.py"}))
        form.add_field("entry.py", says("encrypted"), filename="entry.py", content_type="text/x-python")
        async with host.http.put(f"{host.url}{API}/scripts/app", data=form) as response:
            assert response.status == 200
        assert await host.get("app") == (200, "encrypted")
        trusting = ssl.create_default_context(cafile=str(certificate))
        trusting.check_hostname = False
        async with host.http.get(f"{host.url}/_w/app/", ssl=trusting) as response:
            assert await response.text() == "encrypted"


MAIN = b'content-disposition: form-data; name="entry.py"; filename="entry.py"\r\n\r\ndef fetch(): return 1\r\n'
GOOD = '{"main_module": "entry.py"}'


def body(metadata: str | bytes, *parts: bytes) -> bytes:
    text = metadata.encode() if isinstance(metadata, str) else metadata
    head = b'content-disposition: form-data; name="metadata"\r\n\r\n' + text + b"\r\n"
    return b"".join(b"--b\r\n" + part for part in (head, *parts)) + b"--b--\r\n"


def part(name: str, content: bytes = b"x") -> bytes:
    return f'content-disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n"


ABSURD = {
    "no form": b"nothing", "empty": b"", "cut": body(GOOD, MAIN)[:-9], "no metadata": b"--b\r\n" + MAIN + b"--b--\r\n",
    "no json": body("{", MAIN), "a list": body("[]", MAIN), "deep": body("[" * 100_000, MAIN),
    "no main": body("{}", MAIN), "main is no text": body('{"main_module": 7}', MAIN),
    "main is not there": body('{"main_module": "other.py"}', MAIN),
    "main leaves": body('{"main_module": "../x.py"}', MAIN),
    "bindings": body('{"main_module": "entry.py", "bindings": 7}', MAIN),
    "a binding": body('{"main_module": "entry.py", "bindings": [7]}', MAIN),
    "an unknown binding": body('{"main_module": "entry.py", "bindings": [{"name": "A", "type": "quantum"}]}', MAIN),
    "limits": body('{"main_module": "entry.py", "limits": {"cpu_ms": -1}}', MAIN),
    "limits that are none": body('{"main_module": "entry.py", "limits": [1]}', MAIN),
    "settings": body('{"main_module": "entry.py", "pilot": {"wait_until": "x"}}', MAIN),
    "settings that are none": body('{"main_module": "entry.py", "pilot": 7}', MAIN),
    "flags": body('{"main_module": "entry.py", "compatibility_flags": 7}', MAIN),
    "annotations": body('{"main_module": "entry.py", "annotations": 7}', MAIN),
    "keeps": body('{"main_module": "entry.py", "keep_bindings": 7}', MAIN),
    "twice": body(GOOD, MAIN, MAIN), "file and folder": body(GOOD, MAIN, part("a"), part("a/b")),
    "large metadata": body(b" " * (2 << 20) + GOOD.encode(), MAIN),
    "many files": body(GOOD, MAIN, *(part(f"f{number}") for number in range(20_001))),
    "long path": body(GOOD, MAIN, part("x" * 300)), "deep path": body(GOOD, MAIN, part("a/" * 40 + "b")),
    "a header without end": body(GOOD, MAIN, b"x-long: " + b"y" * (1 << 20) + b"\r\n" + part("a")),
    "many headers": body(GOOD, MAIN, b"x: y\r\n" * 50_000 + part("a")),
}  # fmt: skip


async def test_absurd_uploads(tmp_path: Path) -> None:
    """Each is refused, for what it is, and costs nothing beside it."""
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "app", says("one")))
        for name, content in ABSURD.items():
            headers = {"content-type": "multipart/form-data; boundary=b"}
            upload = host.http.put(f"{host.url}{API}/scripts/app", data=BytesIO(content), headers=headers)
            async with upload as response:
                answer = await response.json()
                assert 400 <= response.status < 500, (name, answer)
                assert answer["errors"][0]["message"], name
        zipped = {"content-type": "multipart/form-data; boundary=b", "content-encoding": "gzip"}
        async with host.http.put(f"{host.url}{API}/scripts/app", data=b"\x1f\x8b", headers=zipped) as response:
            assert response.status == 400
        assert await host.get("app") == (200, "one")
        assert len(json.loads(await host.cli("versions", "--json", cwd=tmp_path / "app"))) == 1
