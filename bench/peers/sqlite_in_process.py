"""What the D1 rows cost at least: the same SQL by Python's own sqlite3, in the server's process and its loop."""

import os
import random
import sqlite3
import tempfile
from collections.abc import Callable

from applications import Message, Receive, Scope, Send

TEXT, KIB = "x" * 100, "x" * 1024
BEGIN = """
CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, number REAL);
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, score REAL, mail TEXT);
INSERT INTO people WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 1000)
SELECT n, 'Person ' || n, n * 1.5, 'person' || n || '@example.com' FROM r;
"""
folder = tempfile.TemporaryDirectory(prefix="pilot-bench-")
connection = sqlite3.connect(os.path.join(folder.name, "db.sqlite"), isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA synchronous=FULL")  # as D1: what is acknowledged is on the disk
connection.executescript(BEGIN)


def insert() -> str:
    connection.execute("INSERT INTO notes (text, number) VALUES (?, ?)", (TEXT, random.random()))
    return "inserted"


def select() -> str:
    cursor = connection.execute("SELECT * FROM people WHERE id = ?", (random.randint(1, 1000),))
    names = [column[0] for column in cursor.description]
    return str(dict(zip(names, cursor.fetchone(), strict=True))["name"])


def hundred() -> str:
    cursor = connection.execute("SELECT * FROM people WHERE id > ? LIMIT 100", (random.randint(0, 900),))
    names = [column[0] for column in cursor.description]
    return str(len([dict(zip(names, row, strict=True)) for row in cursor]))


ROUTES: dict[str, Callable[[], str]] = {"/d1/insert": insert, "/d1/select": select, "/d1/hundred": hundred}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    body = ROUTES.get(scope["path"], lambda: KIB)().encode()
    head: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
    await send(head)
    await send({"type": "http.response.body", "body": body})
