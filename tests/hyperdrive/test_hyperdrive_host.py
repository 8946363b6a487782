"""Hyperdrive on a host: a real Postgres, through real drivers, from a worker that can connect to nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from cloudflare import AsyncCloudflare

from hosting import Host, free_port, hosting, worker
from postgres import PASSWORD, USER, postgres
from runtime.isolate import sandbox
from serving import ROUTER
from wrangler_support import CACHE, WRANGLERS, on_host

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(sandbox.available()), reason="; ".join(sandbox.available())),
    pytest.mark.timeout(600),
]
DRIVERS = ("asyncpg==0.31.0", "psycopg==3.2.13", "psycopg-binary==3.2.13")
ENTRY = (
    ROUTER
    + """
import asyncio, socket
from workers import Response

async def parts(env):
    db = env.DB
    return Response.json([db.host, db.port, db.user, db.password, db.database, db.connectionString])

async def through_asyncpg(env):
    import asyncpg
    pool = await asyncpg.create_pool(env.DB.connectionString, min_size=2, max_size=4)
    async with pool:
        rows = await asyncio.gather(*[pool.fetchval("SELECT $1::int * 2", n) for n in range(20)])
        large = await pool.fetchval("SELECT repeat('x', 3000000)")
        return Response.json([rows, len(large), await pool.fetchval("SELECT current_user::text")])

async def through_psycopg(env):
    import psycopg
    with psycopg.connect(env.DB.connectionString) as one, one.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (n int)")
        cursor.executemany("INSERT INTO t VALUES (%s)", [(n,) for n in range(100)])
        total = cursor.execute("SELECT sum(n) FROM t").fetchone()[0]
    async with await psycopg.AsyncConnection.connect(host=env.DB.host, user=env.DB.user, password=env.DB.password,
                                                     dbname=env.DB.database) as other:
        [one] = await (await other.execute("SELECT 1")).fetchone()
    return Response.json([total, one])

async def encrypted(env):
    import asyncpg
    one = await asyncpg.connect(env.DB.connectionString)
    return Response.json(await one.fetchval("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))

async def fails(env):
    import asyncpg
    try:
        await asyncpg.connect(env.DB.connectionString)
    except Exception as error:
        return Response(f"{type(error).__name__}: {error}")

def elsewhere(env):
    def tcp():
        socket.create_connection(("10.255.255.1", 5432))
    def unix(path):
        socket.socket(socket.AF_UNIX).connect(path)
    def another_socket():
        ours, _ = socket.socketpair()
        ours.connect("/run/x.sock")
    tries = {
        "tcp": tcp, "unix": lambda: unix("/run/x.sock"), "abstract": lambda: unix("\\0/hyperdrive/DB/x"),
        "other": lambda: unix("/hyperdrive/OTHER/.s.PGSQL.5432"), "up": lambda: unix("/hyperdrive/DB/../x"),
        "pair": another_socket, "listen": lambda: socket.socket(socket.AF_UNIX).bind("x.sock"),
    }
    told = {}
    for name, attempt in tries.items():
        try:
            attempt()
            told[name] = "done"
        except OSError as error:
            told[name] = type(error).__name__
    return Response.json(told)

def many(env):
    kept = []
    try:
        for _ in range(400):
            one = socket.socket(socket.AF_UNIX)
            one.connect("/hyperdrive/DB/.s.PGSQL.5432")
            kept.append(one)
    except OSError as error:
        return Response(f"{len(kept)} {error.strerror}")
    return Response(f"{len(kept)}")
"""
)
PYPROJECT = f'[project]\nname = "w"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = {json.dumps(DRIVERS)}\n'


@pytest.fixture(scope="module")
def house() -> Path:
    """Wheels of the drivers, fetched once. Skips the test where they cannot be had."""
    folder = CACHE / f"postgres-drivers-{sys.version_info[0]}.{sys.version_info[1]}-1"
    if not folder.is_dir():
        aside = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--only-binary=:all:",
            "-d",
            str(aside),
            *DRIVERS,
        ]
        if subprocess.run(command, timeout=300).returncode:
            pytest.skip("the drivers cannot be had")
        aside.rename(folder)
    return folder


@pytest.fixture(scope="module")
def database() -> Iterator[int]:
    with postgres() as port:
        yield port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(house: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    data = tmp_path_factory.mktemp("host") / "data"
    arguments = ("--isolates", "1", "--wheelhouse", str(house), "--allow", "127.0.0.1/32")
    async with hosting(data, *arguments) as running:
        yield running


async def configuration(host: Host, port: int, name: str = "shop", sslmode: str | None = None) -> str:
    """Its id."""
    origin = {"scheme": "postgresql", "host": "127.0.0.1", "port": port, "database": "postgres", "user": USER,
              "password": PASSWORD}  # fmt: skip
    path = "/client/v4/accounts/host/hyperdrive/configs"
    status, answer = await host.api("POST", path, {"name": name, "origin": origin, "mtls": {"sslmode": sslmode}})
    assert status == 200, answer
    assert PASSWORD not in str(answer)
    return str(answer["result"]["id"])


async def deployed(host: Host, folder: Path, id: str, name: str, house: Path) -> None:
    os.environ.update(UV_FIND_LINKS=str(house), UV_NO_INDEX="1", UV_OFFLINE="1")
    table = f'[[hyperdrive]]\nbinding = "DB"\nid = "{id}"\n'
    try:
        await host.deploy(worker(folder, ENTRY, table, name, **{"pyproject.toml": PYPROJECT}))
    finally:
        for variable in ("UV_FIND_LINKS", "UV_NO_INDEX", "UV_OFFLINE"):
            del os.environ[variable]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(host: Host, house: Path, database: int, tmp_path_factory: pytest.TempPathFactory) -> Host:
    await deployed(host, tmp_path_factory.mktemp("shop"), await configuration(host, database), "shop", house)
    return host


async def test_drivers_reach_the_database(shop: Host) -> None:
    url = f"postgresql://{USER}:{quote(PASSWORD, safe='')}@/postgres?host=/hyperdrive/DB"
    _, text = await shop.get("shop", "/parts")
    assert json.loads(text) == ["/hyperdrive/DB", 5432, USER, PASSWORD, "postgres", url]
    status, text = await shop.get("shop", "/through_asyncpg")
    assert status == 200, shop.log()[-6000:]
    assert (status, json.loads(text)) == (200, [[n * 2 for n in range(20)], 3_000_000, USER])
    status, text = await shop.get("shop", "/through_psycopg")
    assert (status, json.loads(text)) == (200, [4950, 1])


async def test_a_worker_connects_to_nothing_else(shop: Host) -> None:
    _, text = await shop.get("shop", "/elsewhere")
    assert json.loads(text) == dict.fromkeys(
        ("tcp", "unix", "abstract", "other", "up", "pair", "listen"), "PermissionError"
    )
    _, text = await shop.get("shop", "/many")
    assert text == "100 Resource temporarily unavailable"
    async with asyncio.timeout(30):
        while (await shop.get("shop", "/through_asyncpg"))[0] != 200:  # until the database has let go of those
            await asyncio.sleep(0.05)


async def test_the_password_is_sealed_and_never_told(shop: Host) -> None:
    kept = b"".join(path.read_bytes() for path in shop.data.rglob("*") if path.is_file())
    for form in (PASSWORD, quote(PASSWORD, safe="")):
        assert form.encode() not in kept
        assert form not in shop.log()


async def test_a_database_that_cannot_be_reached_is_told_to_the_worker(host: Host, house: Path, tmp_path: Path) -> None:
    port = free_port()
    id = await configuration(host, port, "lost")
    await deployed(host, tmp_path, id, "lost", house)
    _, text = await host.get("lost", "/fails")
    assert "Hyperdrive cannot reach the database of env.DB: Connect" in text
    path = f"/client/v4/accounts/host/hyperdrive/configs/{id}"
    assert (await host.api("PATCH", path, {"origin": {"host": "10.255.255.1"}}))[0] == 200
    _, text = await host.get("lost", "/fails")
    assert "the address 10.255.255.1 is not allowed" in text
    assert (await host.api("DELETE", path))[0] == 200
    _, text = await host.get("lost", "/fails")
    assert "is gone" in text


async def test_tls_to_the_database(host: Host, house: Path, database: int, tmp_path: Path) -> None:
    """It has a certificate that nobody vouches for; another one has none."""
    id = await configuration(host, database, "tls", "require")
    await deployed(host, tmp_path, id, "tls", house)
    path = f"/client/v4/accounts/host/hyperdrive/configs/{id}"
    assert json.loads((await host.get("tls", "/encrypted"))[1]) == "TLSv1.3"
    assert (await host.api("PATCH", path, {"mtls": {"sslmode": "verify-full"}}))[0] == 200
    assert "CERTIFICATE_VERIFY_FAILED" in (await host.get("tls", "/fails"))[1]
    with postgres(tls=False) as plain:
        assert (await host.api("PATCH", path, {"origin": {"port": plain}}))[0] == 200
        assert "it does not speak TLS, and sslmode is verify-full" in (await host.get("tls", "/fails"))[1]
        origin = {"host": "127.0.0.1", "port": plain, "user": USER, "database": "postgres", "password": PASSWORD}
        await host.api("PUT", path, {"name": "plain", "origin": origin})
        assert json.loads((await host.get("tls", "/encrypted"))[1]) is None


async def test_a_configuration_that_is_not_there_is_refused_at_the_deploy(
    host: Host, house: Path, tmp_path: Path
) -> None:
    folder = worker(tmp_path, ENTRY, '[[hyperdrive]]\nbinding = "DB"\nid = "none"\n', "refused")
    output = await host.cli("deploy", cwd=folder, fails=True)
    assert "names the Hyperdrive configuration 'none', which this host does not have" in output
    assert "wrangler hyperdrive create refused" in output


@pytest.mark.parametrize(
    ("change", "text"),
    [({"scheme": "mysql"}, "databases of Postgres"), ({"port": 0}, "it needs a host, a port"), ({"host": 1}, "origin:"),
     ({"access_client_id": "x"}, "access_client_id"), ({"password": ""}, "and a password")],
)  # fmt: skip
async def test_what_is_refused(host: Host, change: dict[str, object], text: str) -> None:
    origin = {
        "scheme": "postgres",
        "host": "db",
        "port": 1,
        "database": "d",
        "user": "u",
        "password": "secret",
        **change,
    }
    path = "/client/v4/accounts/host/hyperdrive/configs"
    status, answer = await host.api("POST", path, {"name": "x", "origin": origin})
    assert (status, text in answer["errors"][0]["message"]) == (400, True), answer
    assert "secret" not in str(answer)


async def test_the_cloudflare_client(host: Host) -> None:
    async with AsyncCloudflare(api_token=host.token, base_url=f"{host.url}/client/v4") as client:
        hyperdrives = client.hyperdrive.configs
        origin = {"scheme": "postgres", "host": "db", "port": 5433, "database": "d", "user": "u", "password": "secret"}
        made = await hyperdrives.create(account_id="host", name="made", origin=origin)  # type: ignore[arg-type]
        assert made.id in [one.id async for one in hyperdrives.list(account_id="host")]
        changed = await hyperdrives.edit(made.id, account_id="host", name="other")
        assert (changed.name, changed.origin.host) == ("other", "db")
        await hyperdrives.delete(made.id, account_id="host")


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wrangler_is_content(host: Host, tmp_path: Path, version: str) -> None:
    folder = worker(tmp_path / "app", ENTRY)
    (folder / "wrangler.toml").unlink()
    token = (await host.cli("host", "--data", str(host.data), "token", "create", version)).strip()

    async def run(*words: str) -> str:
        return await on_host(version, "hyperdrive", *words, url=host.url, token=token, folder=folder)

    name = "w" + version.replace(".", "-")
    output = await run("create", name, "--connection-string=postgres://u:secret@db.example:5433/d")
    found = re.search(r"\b[0-9a-f]{32}\b", output)
    assert found, output
    assert name in await run("list")
    assert "db.example" in await run("get", found[0])
    await run("update", found[0], "--name", f"{name}-new")
    assert f"{name}-new" in await run("list")
    await run("delete", found[0])
    assert name not in await run("list")
