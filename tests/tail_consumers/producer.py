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
        return Response("x")

    async def scheduled(self, controller):
        print("ran")


async def late():
    import asyncio

    await asyncio.sleep(0.3)
    print("after the answer")
