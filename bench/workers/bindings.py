"""The worker under test of the bindings that keep things: one path each; `/` is what any request costs."""

import asyncio
import random
from urllib.parse import urlsplit

from workers import Response

KIB = "x" * 1024
TEXT = "x" * 100
PUTS = 50  # of one request to /kv/puts


async def fetch(request, env, ctx):
    path = urlsplit(request.url).path
    if path == "/kv/get":
        return Response(await env.KV.get("read"))
    if path == "/kv/put":
        await env.KV.put(f"k{random.randrange(10_000)}", KIB)
        return Response("put")
    if path == "/kv/puts":
        await asyncio.gather(*(env.KV.put(f"k{random.randrange(10_000)}", KIB) for _ in range(PUTS)))
        return Response("put")
    if path == "/kv/begin":
        await env.KV.put("read", KIB)
    if path.startswith("/d1/"):
        return await d1(path, env.DB)
    return Response(KIB)


async def d1(path, db):
    if path == "/d1/insert":
        await db.prepare("INSERT INTO notes (text, number) VALUES (?, ?)").bind(TEXT, random.random()).run()
        return Response("inserted")
    if path == "/d1/select":
        row = await db.prepare("SELECT * FROM people WHERE id = ?").bind(random.randint(1, 1000)).first()
        return Response(row.name)
    if path == "/d1/hundred":
        found = await db.prepare("SELECT * FROM people WHERE id > ? LIMIT 100").bind(random.randint(0, 900)).all()
        return Response(str(len(found.results)))
    await db.batch([
        db.prepare("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, number REAL)"),
        db.prepare("CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, name TEXT, score REAL, mail TEXT)"),
        db.prepare("INSERT OR IGNORE INTO people WITH RECURSIVE r(n) AS"
                   " (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 1000)"
                   " SELECT n, 'Person ' || n, n * 1.5, 'person' || n || '@example.com' FROM r"),
    ])  # fmt: skip
    return Response("begun")
