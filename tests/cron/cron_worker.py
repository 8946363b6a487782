"""What the tests of cron triggers are served by: each run is written down, in the order in which they come."""

import asyncio

from workers import Response, WorkerEntrypoint

runs = []


class Default(WorkerEntrypoint):
    async def scheduled(self, controller, env, ctx):
        assert controller.scheduledTime == int(controller.scheduledTime)
        assert (self.env.GREETING, env.GREETING) == ("hello", "hello")
        print(f"ran {controller.cron}")
        runs.append([controller.cron, controller.scheduledTime])
        if controller.cron == "raise":
            raise ValueError("as it was told")
        if controller.cron == "no retry":
            controller.noRetry()
        if controller.cron == "wait":
            ctx.waitUntil(self.later())
        if controller.cron == "3 3 3 3 *":
            await asyncio.Event().wait()

    async def later(self):
        await asyncio.sleep(0.01)
        runs.append(["later", 0])

    async def fetch(self, request):
        if request.url.endswith("/runs"):
            return Response.json(runs)
        return Response("the worker's")
