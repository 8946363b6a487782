"""One event of each kind, each of which prints what it is."""

import asyncio
import time

import js

from workers import URL, DurableObject, Response, WorkerEntrypoint, WorkflowEntrypoint


class Room(DurableObject):
    async def fetch(self, request):
        print("room fetch")
        if request.headers.get("upgrade") != "websocket":
            return Response("plain", status=203)
        client, server = js.WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(server)
        return Response(None, status=101, web_socket=client)

    async def add(self, number):
        print("room add")
        return number + 1

    async def ring(self, fails):
        await self.ctx.storage.put("fails", fails)
        await self.ctx.storage.setAlarm(time.time() * 1000)

    async def alarm(self):
        print("room alarm")
        if await self.ctx.storage.get("fails"):
            await self.ctx.storage.put("fails", False)
            raise ValueError("no alarm")

    async def webSocketMessage(self, ws, message):
        print("room message")
        if message == "fail":
            raise ValueError("no message")
        ws.send(message)

    async def webSocketClose(self, ws, code, reason, clean):
        ws.close(code, reason)


class Steps(WorkflowEntrypoint):
    async def run(self, event, step):
        print("steps run")
        if event.payload["fails"]:
            raise ValueError("no steps")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = URL(request.url)
        room = self.env.ROOM.getByName("one")
        _, what, *more = url.pathname.split("/")
        match what:
            case "add":
                return Response(str(await room.add(1)))
            case "ring":
                await room.ring(url.search == "?fails")
            case "begin":
                await self.env.STEPS.create({"params": {"fails": url.search == "?fails"}})
            case "slow":
                for part in ("begins", "goes on", "ends"):
                    print(*more, part)
                    await asyncio.sleep(0.05)
            case "both":
                print("two\nlines", end="")
                print(" and more", flush=True)
            case _:
                return await room.fetch(request)
        return Response("done")
