import asyncio

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        print("asked", request.url.split("/")[-1])
        if request.url.endswith("/fails"):
            raise ValueError("on purpose")
        if request.url.endswith("/big"):
            for _ in range(100):
                print("x" * 20_000)
        if request.url.endswith("/late"):
            self.ctx.waitUntil(late())
        if request.url.endswith("/parts"):
            return Response(parts())
        if request.url.endswith("/waits"):
            await asyncio.sleep(60)
        return Response("x")

    async def scheduled(self, controller):
        print("ran")


async def parts():
    yield b"a"
    print("in between")
    yield b"b"


async def late():
    await asyncio.sleep(0.3)
    print("after the answer")
