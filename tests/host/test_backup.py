"""`pilot host backup` and `restore`: a whole copy while it serves, and a folder that is the old one or the new one."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import shutil
import signal
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hosting import Host, hosting, says, worker

pytestmark = pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's")

KEEPS = """
import asyncio
from workers import Response, URL

async def fetch(request, env):
    path = URL(request.url).pathname
    if path == "/write":
        for number in range(20): await env.KV.put(f"{number}", "x" * 100_000)
        await env.KV.put("last", "written")
    values = [await env.KV.get(key) for key in ("0", "19", "last")]
    return Response.json([VERSION, getattr(env, "KEY", None), [value and value[-10:] for value in values]])
"""
CONFIG = '[[kv_namespaces]]\nbinding = "KV"\nid = "kept"\n'


async def pilot(*words: str, fails: bool = False) -> str:
    """`pilot host WORDS`; what it says, or with ``fails`` what it says on its way out."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "host", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert bool(process.returncode) == fails, (out.decode(), err.decode())
    return (err if fails else out + err).decode()


async def made(folder: Path, text: str = "old") -> Path:
    """A backup of a host with one worker and a secret; its data folder is beside it."""
    async with hosting(folder / "data") as host:
        await host.deploy(worker(folder / "app", says(text)))
        await host.cli("secret", "put", "KEY", cwd=folder / "app", stdin="a-very-secret-text")
    await pilot("--data", str(folder / "data"), "backup", str(folder / "file"))
    return folder / "file"


async def test_a_copy_while_it_serves(tmp_path: Path) -> None:
    """Deploys and writes go on: what was acknowledged before the backup began is in it, each of it whole."""
    folder, file, key = tmp_path / "app", tmp_path / "file", tmp_path / "data" / "secrets.key"
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(folder, KEEPS.replace("VERSION", "1"), CONFIG))
        await host.cli("secret", "put", "KEY", cwd=folder, stdin="a-very-secret-text")
        await host.get("app", "/write")
        over, number = asyncio.Event(), 1

        async def changes() -> None:
            nonlocal number
            while not over.is_set():
                (folder / "entry.py").write_text(KEEPS.replace("VERSION", str(number + 1)))
                await host.deploy(folder)
                number += 1

        async def writes() -> None:
            while not over.is_set():
                assert (await host.get("app", "/write"))[0] == 200

        going = [asyncio.create_task(work()) for work in (changes, writes, writes)]
        while number < 3:
            await asyncio.sleep(0.05)
        least = number
        output = await pilot("--data", str(host.data), "backup", str(file))
        most = number + 1
        over.set()
        await asyncio.gather(*going)
    assert "sealed" in output
    assert file.stat().st_mode & 0o777 == 0o600
    content = gzip.decompress(file.read_bytes())
    for secret in (b"a-very-secret-text", key.read_bytes(), host.token.encode()):
        assert secret not in content
    await pilot("--data", str(tmp_path / "new"), "restore", str(file), "--key", str(key))
    async with hosting(tmp_path / "new") as host:
        host.token = (await pilot("--data", str(host.data), "token", "create", "new")).split()[0]
        version, secret_text, values = json.loads((await host.get("app"))[1])
        assert least <= version <= most
        assert (secret_text, values) == ("a-very-secret-text", ["x" * 10, "x" * 10, "written"])
        await host.deploy(folder)
        assert json.loads((await host.get("app"))[1])[0] == number


async def test_secrets_need_their_key(tmp_path: Path) -> None:
    file, data = await made(tmp_path), tmp_path / "new"
    said = await pilot("--data", str(data), "restore", str(file))
    assert f"copy their key to {data / 'secrets.key'}" in said
    wrong = tmp_path / "wrong"
    wrong.write_bytes(os.urandom(32))
    output = await pilot("--data", str(tmp_path / "other"), "restore", str(file), "--key", str(wrong), fails=True)
    assert "sealed with another key" in output
    assert not (tmp_path / "other" / "host.db").exists()
    shutil.copy(tmp_path / "data" / "secrets.key", data / "secrets.key")
    async with hosting(data) as host:
        assert await host.get("app") == (200, "old")


async def test_what_is_there_is_not_lost_unasked(tmp_path: Path) -> None:
    file = await made(tmp_path)
    (tmp_path / "other").mkdir()
    async with hosting(tmp_path / "other" / "data") as host:
        await host.deploy(worker(tmp_path / "other" / "app", says("other")))
        serving = ["--data", str(host.data), "restore", str(file), "--replace"]
        assert "a host serves from it" in await pilot(*serving, fails=True)
        assert await host.get("app") == (200, "other")
    data = tmp_path / "other" / "data"
    assert "--replace" in await pilot("--data", str(data), "restore", str(file), fails=True)
    key = str(tmp_path / "data" / "secrets.key")
    await pilot("--data", str(data), "restore", str(file), "--replace", "--key", key)
    async with hosting(data) as host:
        assert await host.get("app") == (200, "old")
    assert "is there already" in await pilot("--data", str(data), "backup", str(file), fails=True)
    assert "no host's data" in await pilot("--data", str(tmp_path / "none"), "backup", str(file) + "2", fails=True)


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def _outside(content: bytes) -> bytes:
    """With a file that would leave the folder."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as old, tarfile.open(fileobj=raw, mode="w:gz") as new:
        for member in old:
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
        new.addfile(tarfile.TarInfo("bundles/../../left"), io.BytesIO())
    return raw.getvalue()


def _linked(content: bytes) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as new:
        link = tarfile.TarInfo("bundles")
        link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
        new.addfile(link)
    return raw.getvalue()


async def test_what_is_no_whole_backup_changes_nothing(tmp_path: Path) -> None:
    file, data, bad = await made(tmp_path), tmp_path / "data", tmp_path / "bad"
    spoilt: list[Callable[[bytes], bytes]] = [_cut, _flipped, _outside, _linked, lambda _: b"", lambda _: b"no"]
    before = sorted((path, path.read_bytes()) for path in data.rglob("*") if path.is_file())
    for spoil in spoilt:
        bad.write_bytes(spoil(file.read_bytes()))
        output = await pilot("--data", str(data), "restore", str(bad), "--replace", fails=True)
        assert "is no whole backup" in output, output
        assert sorted((path, path.read_bytes()) for path in data.rglob("*") if path.is_file()) == before
    assert not (tmp_path / "left").exists()


async def test_a_restore_that_is_killed_is_the_old_or_the_new(tmp_path: Path) -> None:
    """At moments from its start to its end; the next start of the host completes it, or knows nothing of it."""
    file, data = await made(tmp_path, "new"), tmp_path / "killed"
    key, found = str(tmp_path / "data" / "secrets.key"), set()
    async with hosting(tmp_path / "old") as host:
        await host.deploy(worker(tmp_path / "app", says("old")))
    for moment in range(6):
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(tmp_path / "old", data)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", KILLED_AT, str(moment), "host", "--data", str(data), "restore", str(file),
            "--replace", "--key", key,
        )  # fmt: skip
        killed = await process.wait() == -signal.SIGKILL
        async with hosting(data) as host:
            text = await answer(host)
        assert killed or text == "new"
        found.add(text)
    assert found == {"old", "new"}


async def answer(host: Host) -> str:
    status, text = await host.get("app")
    assert (status, text in ("old", "new")) == (200, True), text
    assert not [path for path in host.data.iterdir() if path.name.startswith(".rest")] or text == "old"
    return text


KILLED_AT = """
import os, signal, sys
from runtime.host.store import restored
moment, count = int(sys.argv.pop(1)), 0
def dies(event, args):
    global count
    if event in ("os.rename", "os.remove", "shutil.rmtree") and "killed" in str(args[0]):
        count += 1
        if count > 2 * moment: os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(dies)
from runtime.cli import main
main()
"""
