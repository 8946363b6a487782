"""Secrets of a store, Hyperdrive and Analytics Engine, as a worker uses them."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bindings.analytics_engine.store import FILE, schema
from serving import ROUTER, serving, write

ENTRY = (
    ROUTER
    + """
from pyodide.ffi import JsException
from workers import Response

async def secret(env):
    return Response(await env.KEY.get())

async def missing(env):
    try:
        await env.MISSING.get()
    except JsException as error:
        return Response(str(error))

def database(env):
    db = env.DB
    return Response.json([db.connectionString, db.host, db.port, db.user, db.password, db.database])

def points(env):
    results = [
        env.AE.writeDataPoint({"blobs": ["a", b"b", None], "doubles": [1, 2.5], "indexes": ["i"]}),
        env.AE.writeDataPoint(blobs=["keyword"]),
        env.AE.writeDataPoint(),
        env.AE.writeDataPoint(blobs=["x"] * 21),
        env.AE.writeDataPoint(doubles=["x"]),
        env.AE.writeDataPoint(indexes=["x" * 97]),
    ]
    return Response.json(results)
"""
)
STORE = '[[secrets_store_secrets]]\nbinding = "KEY"\nstore_id = "s"\nsecret_name = "the_key"\n'
HYPERDRIVE = '[[hyperdrive]]\nbinding = "DB"\nid = "h"\n'


async def test_a_secret_of_a_store_is_that_of_dev_vars(tmp_path: Path) -> None:
    missing = STORE.replace("KEY", "MISSING").replace("the_key", "nobody")
    write(tmp_path, ENTRY, STORE + missing, {".dev.vars": "the_key=hunter2\n"})
    async with serving(tmp_path) as pilot:
        assert await pilot.ask("/secret") == (200, "hunter2")
        assert await pilot.ask("/missing") == (200, 'Error: Secret "nobody" not found')
        assert "hunter2" not in pilot.log()


async def test_hyperdrive_hands_out_the_connection_string_and_its_parts(tmp_path: Path) -> None:
    url = "postgres://me:p%40ss@db.example:6543/shop?sslmode=disable"
    write(tmp_path, ENTRY, f'{HYPERDRIVE}localConnectionString = "{url}"\n')
    async with serving(tmp_path) as pilot:
        _, text = await pilot.ask("/database")
        assert json.loads(text) == [url, "db.example", 6543, "me", "p@ss", "shop"]
        assert "p%40ss" not in pilot.log()
    other = "mysql://root:x@localhost/other"
    variable = {"CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_DB": other}
    async with serving(tmp_path, env=variable) as pilot:
        _, text = await pilot.ask("/database")
        assert json.loads(text) == [other, "localhost", 3306, "root", "x", "other"]


@pytest.mark.parametrize(
    ("line", "text"),
    [("", "env.DB has no database to speak to here"),
     ('"http://a:b@c/d"', "begins with none of postgres, postgresql, mysql"),
     ('"postgres://secret@host/x"', "has no password"), ('"postgres://a:secret@host:x/y"', "cannot be read"),
     ('"postgres://a:secret@host"', "has no database")],
)  # fmt: skip
async def test_a_database_that_cannot_be_reached_is_told_at_start(tmp_path: Path, line: str, text: str) -> None:
    write(tmp_path, ENTRY, HYPERDRIVE + (f"localConnectionString = {line}\n" if line else ""))
    with pytest.raises(AssertionError, match=re.escape(text)) as caught:
        async with serving(tmp_path):
            pass
    assert "secret" not in str(caught.value)


def test_the_query_that_is_shown_names_the_columns() -> None:
    docs = (Path(__file__).parents[2] / "docs/bindings/analytics-engine.md").read_text("utf-8")
    query = re.search(r"^sqlite3 (\S+) '(.*)'$", docs, re.MULTILINE)
    assert query
    assert query[1].endswith(f"analytics_engine/visits/{FILE}")
    with closing(sqlite3.connect(":memory:")) as file:
        file.executescript(schema('"visits"'))
        file.execute(query[2])


async def test_points_are_kept_in_the_columns_of_the_sql_api(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, '[[analytics_engine_datasets]]\nbinding = "AE"\ndataset = "visits"\n')
    async with serving(tmp_path) as pilot:
        assert await pilot.ask("/points") == (200, "[null,null,null,null,null,null]")
        await pilot.says("env.AE.writeDataPoint: a point has 21 blobs; 20 are the most, and is dropped")
    with closing(sqlite3.connect(tmp_path / ".pilot/state/analytics_engine/visits/points.sqlite")) as file:
        rows = file.execute(
            "SELECT index1, blob1, blob2, blob3, blob20, double1, double2, double3 FROM visits"
        ).fetchall()
        assert rows == [
            ("i", "a", "b", "", "", 1.0, 2.5, 0.0),
            ("", "keyword", "", "", "", 0.0, 0.0, 0.0),
            ("", "", "", "", "", 0.0, 0.0, 0.0),
        ]
        [(stamps, interval)] = file.execute("SELECT count(timestamp), max(_sample_interval) FROM visits").fetchall()
        assert (stamps, interval) == (3, 1)


UNSERVED_ENTRY = """
from pyodide.ffi import JsException
from workers import Response

async def fetch(request, env):
    try:
        if "dispatch" in request.url:
            env.DISPATCH.get("id")
        await env.BROWSER.fetch("https://example.com")
    except JsException as error:
        return Response(str(error))
"""


async def test_what_is_not_served_is_named_at_start_and_at_use(tmp_path: Path) -> None:
    write(
        tmp_path,
        UNSERVED_ENTRY,
        '[browser]\nbinding = "BROWSER"\n[[dispatch_namespaces]]\nbinding = "DISPATCH"\nnamespace = "n"\n',
    )
    said = "env.BROWSER is Browser Rendering, which is not served here: run a browser as a service of yours"
    async with serving(tmp_path) as pilot:
        [banner] = [line for line in pilot.events if line["event"] == "banner"]
        assert any(said in str(line) for line in pilot.events)
        assert banner["bindings"] == [
            {"name": "BROWSER", "what": "Browser Rendering", "where": "not served here"},
            {"name": "DISPATCH", "what": "Workers for Platforms", "where": "not served here"},
        ]
        status, text = await pilot.ask("/")
        assert (status, text.startswith(f"Error: {said}")) == (200, True), text
        said = "env.DISPATCH is Workers for Platforms, which is not served here: name the other worker as a service"
        assert any(said in str(line) for line in pilot.events)
        status, text = await pilot.ask("/dispatch")
        assert (status, text.startswith(f"Error: {said}")) == (200, True), text
