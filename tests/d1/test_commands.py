"""``pilot d1`` on the state of the worker here, with and without a running server, and on a host."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

from hosting import hosting, worker
from serving import serving, write

DOCS = (Path(__file__).parents[2] / "docs/bindings/d1.md").read_text("utf-8")
ENTRY = """
from workers import Response
async def fetch(request, env):
    if request.method == "POST":
        await env.DB.prepare("INSERT INTO people (name) VALUES (?)").bind(await request.text()).run()
    return Response.json(await env.DB.prepare("SELECT name FROM people ORDER BY id").raw())
"""
CONFIG = '[[d1_databases]]\nbinding = "DB"\ndatabase_name = "main"\ndatabase_id = "one"\n'
PEOPLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);\nINSERT INTO people (name) VALUES ('Ann; \"A\"');\n"


class Commands:
    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.folder = folder
        write(folder, ENTRY, config)

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "runtime.cli", "d1", *words], cwd=self.folder, timeout=120,
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stderr if code else done.stdout

    def rows(self, sql: str) -> list[list[dict[str, object]]]:
        """Of each statement."""
        found = json.loads(self("execute", "main", "--json", "--command", sql))
        assert all(list(one) == ["results", "success", "meta"] and list(one["meta"]) == ["duration"] for one in found)
        return [one["results"] for one in found]


async def test_beside_a_running_server(tmp_path: Path) -> None:
    d1 = Commands(tmp_path)
    async with serving(tmp_path) as pilot:
        d1("execute", "main", "--command", PEOPLE)
        for number in range(2):
            assert json.loads((await pilot.ask("/", "POST", data=f"of the server {number}"))[1])[-1] == [
                f"of the server {number}"
            ]
            d1("execute", "DB", "--local", "--command", f"INSERT INTO people (name) VALUES ('of a command {number}')")
            assert json.loads((await pilot.ask())[1])[-1] == [f"of a command {number}"]
        bookmark = json.loads(d1("time-travel", "info", "main", "--json"))["bookmark"]
        d1("execute", "main", "--command", "DELETE FROM people")
        assert await pilot.ask() == (200, "[]")
        output = d1("time-travel", "restore", "main", "--bookmark", bookmark)
        assert len(json.loads((await pilot.ask())[1])) == 5
        [before] = re.findall(r"previous bookmark: (\S+)", output)
        d1("time-travel", "restore", "DB", "--bookmark", before)
        assert await pilot.ask() == (200, "[]")
        assert {row["name"] for row in json.loads(d1("list", "--json"))} == {"main"}


def test_execute(tmp_path: Path) -> None:
    d1 = Commands(tmp_path)
    output = d1("execute", "main", "--command", PEOPLE + "SELECT * FROM people; -- that is all")
    assert output.startswith(f"🌀 Executing on local database main (one) of {tmp_path / '.pilot/state'}:\n")
    assert "🚣 3 commands executed successfully." in output
    assert d1.rows("SELECT * FROM people; SELECT 1 AS a") == [[{"id": 1, "name": 'Ann; "A"'}], [{"a": 1}]]
    assert json.loads(_failing(d1, "execute", "main", "--json", "--command", "SELEC")) == {
        "error": {"text": 'near "SELEC": syntax error at offset 0: SQLITE_ERROR'}
    }
    assert "no such table: t" in d1("execute", "main", "--command", "DELETE FROM people; SELECT * FROM t", code=1)
    assert len(d1.rows("SELECT * FROM people")[0]) == 1  # all of it or nothing
    assert "give --command SQL or --file FILE" in d1("execute", "main", code=2)
    assert "Couldn't find a D1 DB with the name or binding 'nope' in your wrangler.toml file." in d1(
        "execute", "nope", "--command", "SELECT 1", code=1
    )
    assert "--remote: there is nothing remote here" in d1("list", "--remote", code=2)
    (tmp_path / "binary.sql").write_bytes(b"SQLite format 3\0")
    assert "a binary SQLite database" in d1("execute", "main", "--file", "binary.sql", code=3)
    assert "Unable to read SQL text file" in d1("execute", "main", "--file", "none.sql", code=3)


def _failing(d1: Commands, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "runtime.cli", "d1", *words], cwd=d1.folder, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


def test_a_dump_makes_the_database_again(tmp_path: Path) -> None:
    d1 = Commands(tmp_path)
    (tmp_path / "in.sql").write_text(
        PEOPLE
        + """
        CREATE TABLE "odd ""one" (a, "b c" REAL, d AS (a || 1), e BLOB);
        INSERT INTO "odd ""one" (a, "b c", e) VALUES ('line
        break''s', 1.5, x'00ff'), (9007199254740993, -1e999, NULL), (CAST(x'610062' AS TEXT), 5, zeroblob(200000));
        CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x);
        INSERT INTO counted (x) VALUES (1), (2); DELETE FROM counted;
        CREATE INDEX i ON people (name); CREATE VIEW v AS SELECT name FROM people;
        CREATE TRIGGER t AFTER INSERT ON people BEGIN
            INSERT INTO counted (x) VALUES (';'); SELECT CASE 1 WHEN 1 THEN 2 END; END;
        """
    )
    d1("execute", "main", "--file", "in.sql")
    assert d1("export", "main", "--output", "out.sql").endswith("Done!\n")
    assert (tmp_path / "out.sql").read_text().startswith("PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE people")
    again = Commands(tmp_path / "again")
    totals = json.loads(again("execute", "main", "--json", "--file", "../out.sql"))
    assert totals[0]["results"][0]["Total queries executed"] == 13
    assert _whole(tmp_path) == _whole(tmp_path / "again")
    d1("export", "main", "--output", "people.sql", "--table", "people", "--no-schema")
    assert (tmp_path / "people.sql").read_text() == (
        'PRAGMA defer_foreign_keys=TRUE;\nINSERT INTO "people" ("id","name") VALUES(1,\'Ann; "A"\');\n'
    )
    d1("execute", "main", "--command", "CREATE VIRTUAL TABLE ft USING fts5 (x)")
    assert "cannot export databases with Virtual Tables (fts5)" in d1("export", "main", "--output", "no.sql", code=3)
    assert not (tmp_path / "no.sql").exists()


def _whole(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(folder / ".pilot/state/d1/one/db.sqlite")) as connection, connection:
        tables = ["sqlite_schema", "people", '"odd ""one"', "counted", "sqlite_sequence"]
        found = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
    found["sqlite_schema"] = sorted((row[0], row[1], row[4]) for row in found["sqlite_schema"])
    return found


def test_migrations(tmp_path: Path) -> None:
    d1 = Commands(tmp_path)
    output = d1("migrations", "create", "main", "make", "people")
    path = tmp_path / "migrations/0001_make_people.sql"
    assert output == (
        "✅ Successfully created Migration '0001_make_people.sql'!\n\nThe migration is available for editing here\n"
        f"{path}\n"
    )
    assert re.fullmatch(r"-- Migration number: 0001 \t \d{4}-\d\d-\d\dT\S+Z\n", path.read_text())
    path.write_text(path.read_text() + PEOPLE)
    for number, sql in ((9, "INSERT INTO people (name) VALUES ('half'); SELEC;"), (10, "CREATE TABLE later (a)")):
        (tmp_path / f"migrations/{number:04}_more.sql").write_text(sql)
    assert json.loads(d1("migrations", "create", "main", "last", "--json"))["name"] == "0011_last.sql"
    listed = [row["Name"] for row in json.loads(d1("migrations", "list", "main", "--json"))]
    assert listed == ["0001_make_people.sql", "0009_more.sql", "0010_more.sql", "0011_last.sql"]
    output = d1("migrations", "apply", "main", code=1)
    assert 'Migration 0009_more.sql failed with the following errors:\nnear "SELEC": syntax error' in output
    assert d1.rows("SELECT name FROM people; SELECT name FROM d1_migrations") == [
        [{"name": 'Ann; "A"'}], [{"name": "0001_make_people.sql"}],
    ]  # fmt: skip
    (tmp_path / "migrations/0009_more.sql").write_text("INSERT INTO people (name) VALUES ('whole') -- no semicolon")
    assert json.loads(d1("migrations", "apply", "main", "--json")) == [
        {"name": name, "status": "✅"} for name in ("0009_more.sql", "0010_more.sql", "0011_last.sql")
    ]
    assert d1("migrations", "apply", "main") == d1("migrations", "list", "DB") == "✅ No migrations to apply!\n"
    assert "path separator" in d1("migrations", "create", "main", "a/b", code=3)


def test_the_commands_of_the_docs(tmp_path: Path) -> None:
    d1 = Commands(tmp_path)
    (tmp_path / "people.sql").write_text("INSERT INTO people (name) VALUES ('Bob');")
    block = DOCS.partition("```sh\npilot d1 ")[2].partition("```")[0]
    said = ""
    for line in f"pilot d1 {block}".splitlines():
        [_, _, *words] = shlex.split(line, comments=True)
        bookmark = re.search(r"bookmark is '(\S+)'", said)
        said = d1(*(bookmark[1] if word == "0000..." and bookmark else word for word in words))
        if words[:2] == ["migrations", "create"]:
            (tmp_path / "migrations/0001_add_people.sql").write_text(PEOPLE)
    assert len(d1.rows("SELECT * FROM people")[0]) == 2


async def test_a_host(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        host.token = (await host.cli("host", "--data", str(host.data), "token", "create", "c")).strip()
        folder = worker(tmp_path / "app", ENTRY, CONFIG)
        (folder / "people.sql").write_text(PEOPLE)
        await host.deploy(folder)

        async def d1(*words: str, fails: bool = False) -> str:
            return await host.cli("d1", *words, "--host", host.url, cwd=folder, fails=fails)

        await d1("migrations", "create", "main", "one")
        (folder / "migrations/0001_one.sql").write_text(PEOPLE)
        await d1("migrations", "apply", "main")
        assert (await host.get("app"))[1] == '[["Ann; \\"A\\""]]'
        await d1("execute", "main", "--command", "INSERT INTO people (name) VALUES ('Bob')")
        found = json.loads(await d1("execute", "DB", "--json", "--command", "SELECT count(*) AS n FROM people"))
        assert found[0]["results"] == [{"n": 2}]
        await d1("export", "main", "--output", "out.sql")
        assert "'Bob'" in (folder / "out.sql").read_text()
        made = json.loads(await d1("create", "second", "--json"))
        (folder / "large.sql").write_text(PEOPLE + "INSERT INTO people (name) VALUES ('x');\n" * 5000)
        totals = json.loads(await d1("execute", "second", "--json", "--file", "large.sql"))
        assert totals[0]["results"][0]["Total queries executed"] == 5002
        assert {row["uuid"] for row in json.loads(await d1("list", "--json"))} == {"one", made["uuid"]}
        await d1("delete", "second", "-y")
        assert "Couldn't find a D1 DB" in await d1("execute", "second", "--command", "SELECT 1", fails=True)
        bookmark = json.loads(await d1("time-travel", "info", "main", "--json"))["bookmark"]
        await d1("execute", "main", "--command", "DROP TABLE people")
        await d1("time-travel", "restore", "main", "--bookmark", bookmark)
        assert json.loads((await host.get("app"))[1]) == [['Ann; "A"'], ["Bob"]]
        host.token = "wrong"
        assert "Authentication error" in await d1("list", fails=True)


async def test_what_is_large_shows_a_bar_in_a_terminal(tmp_path: Path) -> None:
    d1 = Commands(tmp_path)
    values = "\n".join(f"INSERT INTO t VALUES ('{'x' * 50_000}');" for _ in range(220))
    (tmp_path / "large.sql").write_text(f"CREATE TABLE t (text TEXT);\n{values}\n")
    for words in (("execute", "main", "--file", "large.sql"), ("export", "main", "--output", "out.sql")):
        assert "100%" in on_terminal(d1.folder, "d1", *words)
    assert (tmp_path / "out.sql").stat().st_size > 10_000_000
    assert "%" not in on_terminal(d1.folder, "d1", "export", "main", "--output", "out.sql", "--json")
    assert "100%" in on_terminal(d1.folder, "r2", "object", "put", "files/large", "--file", "out.sql")
    assert "100%" in on_terminal(d1.folder, "r2", "object", "get", "files/large", "--file", "again.sql")
    assert (tmp_path / "again.sql").read_bytes() == (tmp_path / "out.sql").read_bytes()


def on_terminal(folder: Path, *words: str) -> str:
    """What a command writes to its terminal as errors and progress."""
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runtime.cli", *words], cwd=folder, stderr=theirs, stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs)
        told = b""
        with suppress(OSError):  # EIO: the other end is closed
            while part := terminal.read(4096):
                told += part
        assert process.wait(60) == 0, told
    return told.decode()
