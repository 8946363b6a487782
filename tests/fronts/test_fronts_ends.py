"""How several fronts begin, and how they end; and what is carried over TLS."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import aiohttp
import psutil
import pytest

from fronts_support import FRONTS, OBJECT, PID, TRIES, everywhere, fresh, fronts
from hosting import API, hosting, worker

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="SO_REUSEPORT is Linux's"),
]
SLOW = """
import asyncio
from workers import Response
async def fetch(request, env):
    async def parts():
        for n in range(20):
            yield f"{n}\\n".encode()
            await asyncio.sleep(0.1)
    return Response(parts())
"""


async def test_over_tls_what_cannot_go_along_is_carried(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    made = [*command.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    tls = ("--certificate", str(certificate), "--key", str(key))
    async with hosting(tmp_path / "data", "--fronts", str(FRONTS), "--isolates", "1", *tls) as host:
        await fronts(host)
        form = aiohttp.FormData()
        bindings = [{"name": "COUNTER", "type": "durable_object_namespace", "class_name": "Counter"}]
        migrations = {"new_tag": "v1", "steps": [{"new_sqlite_classes": ["Counter"]}]}
        metadata = {"main_module": "entry.py", "bindings": bindings, "migrations": migrations}
        form.add_field("metadata", json.dumps(metadata))
        form.add_field("entry.py", OBJECT, filename="entry.py", content_type="text/x-python")
        async with host.http.put(f"{host.url}{API}/scripts/object", data=form) as response:
            assert response.status == 200, await response.text()
        body = os.urandom(300_000)
        answers = [json.loads((await fresh(host, "/_w/object/", "POST", data=body))[1]) for _ in range(TRIES)]
        assert answers == [[n, len(body), "127.0.0.1"] for n in range(1, TRIES + 1)]


async def test_what_is_in_hand_is_finished(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data", "--fronts", str(FRONTS), "--isolates", "1") as host:
        pids = await fronts(host)
        await host.deploy(worker(tmp_path / "app", SLOW, name="slow"))
        reading = [asyncio.create_task(fresh(host, "/_w/slow/")) for _ in range(9)]
        await asyncio.sleep(0.7)
        host.process.send_signal(signal.SIGTERM)
        whole = "".join(f"{n}\n" for n in range(20)).encode()
        assert {body for _, body in await asyncio.gather(*reading)} == {whole}
        assert await host.process.wait() == 0
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]


async def test_fronts_end_with_what_has_begun_them(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data", "--fronts", str(FRONTS), "--isolates", "1") as host:
        pids = await fronts(host)
        host.process.kill()
        await host.process.wait()
        async with asyncio.timeout(30):
            while [pid for pid in pids.values() if psutil.pid_exists(pid)]:
                await asyncio.sleep(0.05)


async def test_a_port_or_a_folder_is_had_once(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data", "--fronts", "2", "--isolates", "1") as host:
        port = host.url.rpartition(":")[2]
        for data, number, why in ((tmp_path / "b", port, "cannot listen"), (tmp_path / "data", "0", "another host")):
            words = ("host", "--data", str(data), "--port", number, "--fronts", "2")
            process = await asyncio.create_subprocess_exec(
                host.python, "-P", "-m", "runtime.cli", *words, stderr=asyncio.subprocess.PIPE
            )
            _, err = await asyncio.wait_for(process.communicate(), 60)
            assert (process.returncode, why in err.decode()) == (3, True), err


async def test_a_worker_moves_to_the_first_front_and_back(tmp_path: Path) -> None:
    bound = 'services = [{binding = "SELF", service = "app"}]'
    async with hosting(tmp_path / "data", "--fronts", str(FRONTS), "--isolates", "1") as host:
        await fronts(host)
        for config, processes in (("", FRONTS), (bound, 1), ("", FRONTS)):
            await host.deploy(worker(tmp_path / "app", PID, config))
            assert len(await everywhere(host, "/_w/app/")) == processes
