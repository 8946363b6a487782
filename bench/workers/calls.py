"""The worker under test of calls: to another worker, to an object, to a queue, and over sockets."""

import asyncio
import time

import js

from workers import URL, DurableObject, Response, WorkerEntrypoint

COUNTS = 50  # of one request
QUEUED = 100  # messages of one request
EMPTY = "x" * 100
handled: list[float] = []  # ms from send to handler, of the messages of one run
everybody = set()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match URL(request.url).pathname:
            case "/rpc":
                return Response(str(await self.env.OTHER.add(1, 2)))
            case "/service":
                return await self.env.OTHER.fetch("http://other/")
            case "/count":
                return Response(str(await self.env.COUNTER.getByName("one").count()))
            case "/counts":
                counter = self.env.COUNTER.getByName("one")
                await asyncio.gather(*[counter.count() for _ in range(COUNTS)])
                return Response("counted")
            case "/queue/send":
                await self.env.QUEUE.send(time.time())
                return Response("sent")
            case "/queue/batch":
                await self.env.QUEUE.sendBatch([{"body": time.time()} for _ in range(QUEUED)])
                return Response("sent")
            case "/queue/handled":
                return Response.json([len(handled), *handled[:100]])
            case "/queue/begin":
                handled.clear()
                return Response("begun")
            case "/echo" | "/broadcast" as path:
                return socket(path == "/broadcast")
            case "/room":
                return await self.env.ROOM.getByName("one").fetch(request)
        return Response(EMPTY)

    async def queue(self, batch, env=None, ctx=None):
        now = time.time()
        handled.extend((now - message.body) * 1000 for message in batch.messages)


def socket(to_all):
    client, server = js.WebSocketPair.new().object_values()
    server.accept()
    if to_all:
        everybody.add(server)
        server.addEventListener("close", lambda event: everybody.discard(server))
        server.addEventListener("message", lambda event: [one.send(event.data) for one in everybody])
    else:
        server.addEventListener("message", lambda event: server.send(event.data))
    return Response(None, status=101, web_socket=client)


class Counter(DurableObject):
    async def count(self):
        number = (await self.ctx.storage.get("number") or 0) + 1
        await self.ctx.storage.put("number", number)
        return number


class Room(DurableObject):
    async def fetch(self, request):
        client, server = js.WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(server)
        return Response(None, status=101, web_socket=client)

    async def webSocketMessage(self, socket, message):
        socket.send(message)
