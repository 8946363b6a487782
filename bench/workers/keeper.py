"""A worker that keeps something in each of its bindings, for ``bench.faults``: what it acknowledges is on the disk."""

import os
import time

from workers import URL, DurableObject, Response, WorkerEntrypoint, WorkflowEntrypoint

STEPS = 8
TABLES = """
CREATE TABLE IF NOT EXISTS written (number INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS handled (number INTEGER);
CREATE TABLE IF NOT EXISTS ran (id TEXT, step INTEGER);
"""


class Thing(DurableObject):
    async def add(self, number):
        value = (await self.ctx.storage.get("value") or 0) + 1
        await self.ctx.storage.put({"value": value, f"n{number}": value})
        return value

    async def ring(self):
        await self.ctx.storage.setAlarm(time.time() * 1000 + 100)

    async def alarm(self):
        await self.ctx.storage.put("rang", (await self.ctx.storage.get("rang") or 0) + 1)

    async def found(self):
        return dict(await self.ctx.storage.list())

    async def pid(self):
        return os.getpid()


class Steps(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("s")
        async def s(ctx):
            await insert(self.env, "INSERT INTO ran VALUES (?, ?)", [(event.instanceId, ctx.step.count)])
            return ctx.step.count

        total = 0
        for at in range(STEPS):
            total += await s()
            if at == STEPS // 2:
                await step.sleep("nap", 50)
        return total


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        asked = await request.json() if request.method == "POST" else []
        answer = await getattr(self, f"on_{URL(request.url).pathname.strip('/')}")(*asked)
        return Response.json(answer)

    async def queue(self, batch, env, ctx):
        await insert(env, "INSERT INTO handled VALUES (?)", [(message.body,) for message in batch.messages])

    async def on_tables(self):
        await self.env.DB.exec(TABLES.replace("\n", " "))

    async def on_pid(self):
        return os.getpid()

    async def on_object(self, name, method, *args):
        return await getattr(self.env.THINGS.getByName(name), method)(*args)

    async def on_row(self, number):
        await insert(self.env, "INSERT INTO written VALUES (?)", [(number,)])

    async def on_key(self, number):
        await self.env.KV.put(str(number), "kept")

    async def on_send(self, number):
        await self.env.JOBS.send(number)

    async def on_begin(self, id):
        await self.env.STEPS.create({"id": id})

    async def on_status(self, id):
        status = await (await self.env.STEPS.get(id)).status()
        return [status.status, getattr(status, "output", None)]

    async def on_missing(self, numbers):
        found = await self.env.KV.get([str(number) for number in numbers])
        return [number for number in numbers if found.get(str(number)) != "kept"]


async def insert(env, sql, rows):
    statement = env.DB.prepare(sql)
    await env.DB.batch([statement.bind(*row) for row in rows])
