"""A worker that sends messages back, for ``bench.faults``: by an object that hibernates, or by itself (``/own``)."""

import js

from workers import URL, DurableObject, Response, WorkerEntrypoint

VERSION = 1


class Room(DurableObject):
    async def fetch(self, request):
        client, server = js.WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(server)
        return Response(None, status=101, web_socket=client)

    async def webSocketMessage(self, ws, message):
        ws.send(f"{VERSION} {message}")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if URL(request.url).pathname != "/own":
            return await self.env.ROOM.getByName(URL(request.url).pathname).fetch(request)
        client, server = js.WebSocketPair.new().object_values()
        server.accept()
        server.addEventListener("message", lambda event: server.send(f"{VERSION} {event.data}"))
        return Response(None, status=101, web_socket=client)
