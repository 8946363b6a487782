"""Where namespaces are kept, who shares one, and what is said of what cannot be used."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hosting import hosting, worker
from serving import serving, write

ENTRY = """
from workers import URL, Response

async def fetch(request, env):
    name, key, *value = URL(request.url).pathname.strip("/").split("/")
    kv = env[name]
    if value:
        await kv.put(key, value[0])
    return Response(str(await kv.get(key)))
"""
TWO = """
[[kv_namespaces]]
binding = "ONE"
id = "shared"
[[kv_namespaces]]
binding = "OTHER"
id = "shared"
[[kv_namespaces]]
binding = "OWN"
id = "Its/Own"
preview_id = "preview"
[env.staging]
[[env.staging.kv_namespaces]]
binding = "ONE"
id = "staging"
"""


def pilot(folder: Path, *words: str) -> tuple[int, str]:
    """(exit code, what it says)."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "runtime.cli", *words],
        cwd=folder, text=True, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def state(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("kv/*/about.json"))


async def test_an_id_is_a_namespace(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, TWO)
    async with serving(tmp_path) as running:
        assert await running.ask("/ONE/k/v") == (200, "v")
        assert await running.ask("/OTHER/k") == (200, "v")
        assert await running.ask("/OWN/k") == (200, "None")
        assert await running.save(ENTRY + "# saved\n"), running.log()
        assert await running.ask("/ONE/k") == (200, "v")
        banner = await running.event("banner")
        assert {"name": "OWN", "what": "KV namespace", "where": "preview"} in banner["bindings"]
    assert state(tmp_path / ".pilot/state") == ["preview", "shared"]
    async with serving(tmp_path) as running:
        assert await running.ask("/OTHER/k") == (200, "v")
    async with serving(tmp_path, "--env", "staging") as running:
        assert await running.ask("/ONE/k") == (200, "None")


async def test_state_may_lie_elsewhere_or_be_forgotten(tmp_path: Path) -> None:
    folder, kept = tmp_path / "app", tmp_path / "kept"
    write(folder, ENTRY, '[[kv_namespaces]]\nbinding = "NOTES"\n')
    async with serving(folder, "--persist-to", str(kept)) as running:
        assert await running.ask("/NOTES/k/v") == (200, "v")
    async with serving(folder, "--no-persist") as running:
        assert await running.ask("/NOTES/k/other") == (200, "other")
    assert not (folder / ".pilot/state/kv").exists()
    [name] = state(kept)
    assert name.startswith("notes.")
    async with serving(folder, "--persist-to", str(kept)) as running:
        assert await running.ask("/NOTES/k") == (200, "v")
    assert pilot(folder, "dev", "--no-persist", "--persist-to", str(kept))[0] == 2


async def test_the_second_is_told_who_has_it(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, TWO)
    async with serving(tmp_path) as running:
        code, output = pilot(tmp_path, "dev", "--port", "0")
        assert code == 3
        assert f"process {running.process.pid} (since " in output
        assert "--persist-to DIR" in output
        async with serving(tmp_path, "--no-persist") as other:
            assert await other.ask("/ONE/k") == (200, "None")
        running.process.kill()
        await running.process.wait()
        async with serving(tmp_path) as next_one:
            assert await next_one.ask("/ONE/k/v") == (200, "v")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('id = "x"', "[[kv_namespaces]] #1: has no 'binding'"),
        ('binding = "KV"\nid = ""', "[[kv_namespaces]] #1: 'id' is empty"),
        ('binding = "KV"\nid = 5', "must be a string, not a whole number"),
        ('binding = "KV"\nremote = true', "env.KV is remote, and Pilotlight keeps everything local"),
        ('binding = "KV"\n[[kv_namespaces]]\nbinding = "KV"', "'KV'"),
        ('binding = "KV"\n[vars]\nKV = "x"', "'KV' is both a variable and a KV binding"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, table: str, told: str) -> None:
    write(tmp_path, ENTRY, f"[[kv_namespaces]]\n{table}\n")
    code, output = pilot(tmp_path, "dev", "--port", "0")
    assert (code, told in output) == (3, True), output


async def test_an_unknown_key_warns(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, '[[kv_namespaces]]\nbinding = "KV"\nbogus = 1\nremote = false\n')
    async with serving(tmp_path) as running:
        await running.says("unknown key 'bogus' is ignored")
        assert await running.ask("/KV/k/v") == (200, "v")


async def test_a_broken_file_is_one_namespaces_trouble(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, TWO)
    async with serving(tmp_path) as running:
        assert await running.ask("/ONE/k/v") == (200, "v")
    database = tmp_path / ".pilot/state/kv/shared/kv.sqlite"
    whole = database.read_bytes()
    database.write_bytes(b"no database" * 1000)
    async with serving(tmp_path) as running:
        status, text = await running.ask("/ONE/k")
        assert (status, "KV GET failed: 500 kv.sqlite: file is not a database" in text) == (500, True), text
        assert await running.ask("/OWN/k/v") == (200, "v")
    database.write_bytes(whole)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 99")
    async with serving(tmp_path) as running:
        assert "written by a newer release" in (await running.ask("/ONE/k"))[1]


async def test_a_database_that_another_program_writes_is_waited_for(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, TWO)
    async with serving(tmp_path) as running:
        assert await running.ask("/ONE/k/v") == (200, "v")
        with closing(sqlite3.connect(tmp_path / ".pilot/state/kv/shared/kv.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE entries SET value = x'61'")
            assert await running.ask("/ONE/k") == (200, "v")
            other.execute("COMMIT")
        assert await running.ask("/OTHER/k") == (200, "a")
        assert await running.ask("/ONE/k/w") == (200, "w")


def test_a_worker_without_it_imports_nothing_of_it() -> None:
    """Neither the supervisor for its configuration, nor the process that isolates are forked from."""
    code = (
        "import sys; import runtime.supervisor.dev, runtime.isolate.zygote; from bindings import products; products();"
        "print([name for name in sys.modules if name.startswith('bindings.kv')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == ["bindings.kv", "bindings.kv.product"]


# On a host


async def test_a_host_keeps_them_by_id(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "one", ENTRY, '[[kv_namespaces]]\nbinding = "KV"\nid = "a"\n', "one"))
        await host.deploy(worker(tmp_path / "other", ENTRY, '[[kv_namespaces]]\nbinding = "KV"\n', "other"))
        assert await host.ask("/_w/one/KV/k/v") == (200, "v")
        assert await host.ask("/_w/other/KV/k") == (200, "None")
        assert (await host.ask("/_w/other/ONE/k"))[0] == 500
    assert state(tmp_path / "data/state") == ["a", "other-kv"]
    async with hosting(tmp_path / "data") as host:
        assert await host.ask("/_w/one/KV/k") == (200, "v")
