"""A counter that is one for the world, resets itself an hour after it was last asked, and can be called."""

from urllib.parse import urlparse

from workers import DurableObject, Response, WorkerEntrypoint

HOUR_MS = 3600 * 1000


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS steps (by INTEGER)")

    async def add(self, by):
        import time

        self.ctx.storage.sql.exec("INSERT INTO steps VALUES (?)", by)
        await self.ctx.storage.setAlarm(time.time() * 1000 + HOUR_MS)
        return await self.value()

    async def value(self):
        return self.ctx.storage.sql.exec("SELECT coalesce(sum(by), 0) AS sum FROM steps").one().sum

    async def alarm(self, info=None):
        self.ctx.storage.sql.exec("DELETE FROM steps")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name, _, by = urlparse(request.url).path[1:].partition("/")
        counter = self.env.COUNTER.get(self.env.COUNTER.idFromName(name))
        return Response(str(await counter.add(int(by)) if by else await counter.value()))
