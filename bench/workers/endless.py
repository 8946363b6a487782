"""A worker with what never ends by itself, for ``bench.faults``."""

import asyncio
import time

from workers import URL, DurableObject, Response, WorkerEntrypoint


class Thing(DurableObject):
    async def block(self):
        time.sleep(3600)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(str(await getattr(self, f"on_{URL(request.url).pathname.strip('/')}")()))

    async def queue(self, batch, env, ctx):
        raise ValueError("never handled")

    async def call(self):
        return await self.env.OTHER.call()

    async def on_waits(self):
        await asyncio.Event().wait()

    async def on_spins(self):
        while True:
            pass

    async def on_blocks(self):
        await self.env.THINGS.getByName("one").block()

    async def on_fails(self):
        await self.env.JOBS.send("never handled")

    async def on_calls(self):
        await self.call()
