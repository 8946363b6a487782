"""D1 over Cloudflare's REST API: beside ``pilot dev``, on a host, with the ``cloudflare`` client and with Wrangler."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cloudflare import AsyncCloudflare, NotFoundError

from hosting import Host, hosting, worker
from serving import Served, serving, write
from wrangler_support import WRANGLERS, on_host

ENTRY = """
from workers import Response
async def fetch(request, env):
    return Response.json(await env.DB.prepare("SELECT * FROM people ORDER BY id").raw())
"""
ID = "11111111-2222-4333-8444-555555555555"
CONFIG = f'[[d1_databases]]\nbinding = "DB"\ndatabase_name = "main"\ndatabase_id = "{ID}"\n'
ROOT = "/client/v4/accounts/a/d1/database"
TOKEN = {"authorization": "Bearer any"}
SQL = """CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, photo BLOB);
INSERT INTO people (name) VALUES ('Ann; "A"'), ('Bob
Junior');
CREATE TRIGGER t AFTER DELETE ON people BEGIN INSERT INTO people (name) VALUES ('ghost; ' || old.name); SELECT 1; END;
UPDATE people SET photo = x'00ff' WHERE id = 2; -- done; really
"""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("dev")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        running.token = (await running.cli("host", "--data", str(running.data), "token", "create", "all")).strip()
        await running.deploy(worker(tmp_path_factory.mktemp("app"), ENTRY, CONFIG))
        yield running


async def api(pilot: Served, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    """(status, envelope)."""
    async with pilot.http.request(method, f"{pilot.url}{ROOT}{path}", headers=TOKEN, json=body, **options) as response:
        return response.status, await response.json()


async def result(pilot: Served, method: str, path: str, body: Any = None) -> Any:
    status, envelope = await api(pilot, method, path, body)
    assert (status, envelope["success"]) == (200, True), envelope
    return envelope["result"]


async def complaint(pilot: Served, method: str, path: str, body: Any = None) -> tuple[int, int, str]:
    """(status, code, message) of a refusal."""
    status, envelope = await api(pilot, method, path, body)
    [error] = envelope["errors"]
    return status, error["code"], error["message"]


async def test_databases_come_and_go(pilot: Served) -> None:
    made = await result(pilot, "POST", "", {"name": "other", "primary_location_hint": "weur"})
    assert (made["name"], made["num_tables"], made["version"]) == ("other", 0, "production")
    one = f"/{made['uuid']}"
    assert {(row["uuid"], row["name"]) for row in await result(pilot, "GET", "")} == {
        (ID, "main"),
        (made["uuid"], "other"),
    }
    assert [row["name"] for row in await result(pilot, "GET", "?name=main")] == ["main"]
    assert await result(pilot, "GET", "?page=2&per_page=10") == []
    await result(pilot, "POST", f"{one}/query", {"sql": "CREATE TABLE t (a)"})
    assert (await result(pilot, "GET", "/other"))["num_tables"] == 1  # by its name as well
    assert (await result(pilot, "PATCH", one, {"read_replication": {"mode": "auto"}}))["uuid"] == made["uuid"]
    assert await complaint(pilot, "POST", "", {"name": "other"}) == (
        400,
        7502,
        "Database with name 'other' already exists",
    )
    assert (await complaint(pilot, "POST", "", {"name": ""}))[:2] == (400, 7400)
    assert (await complaint(pilot, "POST", "", {"name": 5}))[:2] == (400, 10026)
    assert await result(pilot, "DELETE", one) is None
    assert await complaint(pilot, "GET", one) == (404, 7404, f"The database {made['uuid']} could not be found")
    assert (await complaint(pilot, "POST", f"{one}/query", {"sql": "SELECT 1"}))[:2] == (404, 7404)


async def test_queries(pilot: Served) -> None:
    made = await result(pilot, "POST", f"/{ID}/query", {"sql": SQL})
    assert [row["success"] for row in made] == [True] * 4
    assert made[1]["meta"]["changes"] == 2
    assert await pilot.ask() == (200, '[[1,"Ann; \\"A\\"",null],[2,"Bob\\nJunior",[0,255]]]')
    one = {"sql": "SELECT id, name FROM people WHERE id > ? AND name LIKE ?", "params": [1, "Bob%"]}
    [found] = await result(pilot, "POST", f"/{ID}/query", one)
    assert (found["results"], found["meta"]["changed_db"]) == ([{"id": 2, "name": "Bob\nJunior"}], False)
    [found] = await result(pilot, "POST", f"/{ID}/raw", one)
    assert found["results"] == {"columns": ["id", "name"], "rows": [[2, "Bob\nJunior"]]}
    both = await result(pilot, "POST", f"/{ID}/query", {"batch": [{"sql": "SELECT 1 AS a"}, one]})
    assert [row["results"] for row in both] == [[{"a": 1}], [{"id": 2, "name": "Bob\nJunior"}]]
    for body, wanted in (
        ({"sql": "SELEC"}, (400, 7500, 'near "SELEC": syntax error at offset 0: SQLITE_ERROR')),
        ({"sql": "ATTACH 'x' AS y"}, (400, 7500, "not authorized: SQLITE_AUTH")),
        ({"sql": "SELECT ?"}, (400, 7500, "Wrong number of parameter bindings for SQL query.")),
        ({"sql": "-- nothing"}, (400, 7500, "No SQL statements detected.")),
        ({"sql": "SELECT ?", "params": [{"a": 1}]}, (400, 7400, None)),
        ({"sql": "SELECT 1", "batch": []}, (400, 7400, None)),
        ({"sql": "INSERT INTO people (name) VALUES ('no'); SELEC"}, (400, 7500, None)),
        ({"sql": 5}, (400, 10026, None)),
    ):
        got = await complaint(pilot, "POST", f"/{ID}/query", body)
        assert got[: 3 if wanted[2] else 2] == (wanted if wanted[2] else wanted[:2]), body
    assert (await result(pilot, "POST", f"/{ID}/query", {"sql": "SELECT count(*) AS n FROM people"}))[0]["results"] == [
        {"n": 2}
    ]


async def test_time_travel(pilot: Served) -> None:
    before = (await result(pilot, "GET", f"/{ID}/time_travel/bookmark"))["bookmark"]
    await result(pilot, "POST", f"/{ID}/query", {"sql": "DROP TABLE people"})
    back = await result(pilot, "POST", f"/{ID}/time_travel/restore?bookmark={before}")
    assert back["bookmark"] == before < back["previous_bookmark"]
    assert (await pilot.ask())[0] == 200
    forth = await result(pilot, "POST", f"/{ID}/time_travel/restore?bookmark={back['previous_bookmark']}")
    assert (await pilot.ask())[0] == 500
    await result(pilot, "POST", f"/{ID}/time_travel/restore?bookmark={forth['previous_bookmark']}")
    assert (await pilot.ask())[0] == 200
    for query, code in (("restore?bookmark=../../x", 7500), ("restore", 7500)):
        assert (await complaint(pilot, "POST", f"/{ID}/time_travel/{query}"))[:2] == (400, code)
    assert (await complaint(pilot, "GET", f"/{ID}/time_travel/bookmark?timestamp=2020-01-01T00:00:00Z"))[:2] == (
        400,
        7500,
    )
    assert (await complaint(pilot, "GET", f"/{ID}/time_travel/bookmark?timestamp=soon"))[:2] == (400, 7400)


async def test_the_cloudflare_client(host: Host) -> None:
    client = AsyncCloudflare(base_url=f"{host.url}/client/v4", api_token=host.token, max_retries=0)
    d1 = client.d1.database
    made = await d1.create(account_id="a", name="clients")
    assert made.uuid is not None
    try:
        await d1.query(made.uuid, account_id="a", sql="CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2)")
        page = await d1.query(made.uuid, account_id="a", sql="SELECT a FROM t WHERE a > ?", params=["1"])
        assert page.result[0].results == [{"a": 2}]
        raw = await d1.raw(made.uuid, account_id="a", sql="SELECT a FROM t")
        assert raw.result[0].results.rows == [[1], [2]]
        assert {row.name async for row in d1.list(account_id="a")} >= {"clients", ID}
        assert (await d1.get(made.uuid, account_id="a")).num_tables == 1
        exported = await d1.export(made.uuid, account_id="a", output_format="polling")
        async with host.http.get(exported.result.signed_url) as response:
            assert (await response.text()).splitlines()[:2] == [
                "PRAGMA defer_foreign_keys=TRUE;",
                "CREATE TABLE t (a INTEGER);",
            ]
        await d1.delete(made.uuid, account_id="a")
        with pytest.raises(NotFoundError, match="could not be found"):
            await d1.get(made.uuid, account_id="a")
    finally:
        await client.close()


@pytest.mark.parametrize("version", WRANGLERS)
async def test_wranglers_d1_commands(host: Host, tmp_path: Path, version: str) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "w"\n')

    async def run(*words: str, fails: bool = False) -> str:
        return await on_host(version, "d1", *words, url=host.url, token=host.token, folder=tmp_path, fails=fails)

    name = f"of-{version.replace('.', '-')}"
    created = await run("create", name)
    assert name in created
    id = next(row["uuid"] for row in json.loads(await run("list", "--json")) if row["name"] == name)
    (tmp_path / "wrangler.toml").write_text(
        f'name = "w"\n[[d1_databases]]\nbinding = "DB"\ndatabase_name = "{name}"\ndatabase_id = "{id}"\n'
    )
    (tmp_path / "schema.sql").write_text(SQL)
    await run("execute", name, "--remote", "-y", "--file", "schema.sql")
    found = json.loads(
        await run("execute", name, "--remote", "--json", "--command", "SELECT name FROM people; SELECT 1 AS a")
    )
    assert [row["results"] for row in found] == [[{"name": 'Ann; "A"'}, {"name": "Bob\nJunior"}], [{"a": 1}]]
    assert "SQLITE_ERROR" in await run("execute", name, "--remote", "--command", "SELEC", fails=True)
    (tmp_path / "wrong.sql").write_text("INSERT INTO people (name) VALUES ('no'); SELEC;")
    assert "SQLITE_ERROR" in await run("execute", name, "--remote", "-y", "--file", "wrong.sql", fails=True)
    await run("migrations", "create", name, "add age")
    [migration] = (tmp_path / "migrations").iterdir()
    migration.write_text("ALTER TABLE people ADD COLUMN age INTEGER;")
    assert migration.name in await run("migrations", "list", name, "--remote")
    await run("migrations", "apply", name, "--remote")
    assert "No migrations to apply" in await run("migrations", "list", name, "--remote")
    await run("export", name, "--remote", "--output", "out.sql")
    text = (tmp_path / "out.sql").read_text()
    assert text.startswith("PRAGMA defer_foreign_keys=TRUE;")
    assert "Bob\nJunior" in text
    assert "CREATE TRIGGER t" in text
    bookmark = json.loads(await run("time-travel", "info", name, "--json"))["bookmark"]
    await run("execute", name, "--remote", "--command", "DROP TABLE people")
    await run("time-travel", "restore", name, "--bookmark", bookmark, "--json")
    info = json.loads(await run("info", name, "--json"))
    assert (info["name"], info["num_tables"]) == (name, 2)
    await run("delete", name, "-y")
    assert name not in await run("list", "--json")
