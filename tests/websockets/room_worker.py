"""Objects with sockets: what a client sends first names the function that deals with it."""

import asyncio
import json
import os

import js
from pyodide.ffi import to_js

from workers import URL, DurableObject, Response, WorkerEntrypoint

VERSION = 1


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.said = 0
        self.at_first = len(ctx.getWebSockets())

    async def fetch(self, request):
        url = URL(request.url)
        tags = url.searchParams.getAll("tag")
        client, server = js.WebSocketPair.new().object_values()
        if url.pathname == "/plain":
            server.accept()
            server.addEventListener("message", lambda event: server.send(f"plain {event.data} {self.count()}"))
            server.addEventListener("close", lambda event: print("plain closed", event.code))
        elif url.pathname == "/refuses":
            return Response(self.refusals(client, server))
        else:
            self.ctx.acceptWebSocket(server, to_js(tags))
            self.ctx.setWebSocketAutoResponse(js.WebSocketRequestResponsePair.new("ping", "pong"))
            if url.pathname == "/greets":
                server.serializeAttachment(to_js({"since": "before"}, dict_converter=js.Object.fromEntries))
                server.send(f"welcome {len(self.ctx.getWebSockets())}")
        return Response(None, status=101, web_socket=client, headers={"x-object": self.ctx.id.name})

    def refusals(self, client, server):
        found = []

        def refused(call):
            try:
                call()
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
            else:
                found.append("taken")

        accept = self.ctx.acceptWebSocket
        refused(lambda: accept(server, ["x" * 257]))
        refused(lambda: accept(server, [str(number) for number in range(11)]))
        refused(lambda: self.ctx.getTags(server))
        accept(server, [str(number) for number in range(10)])
        refused(lambda: accept(server))
        refused(server.accept)
        refused(lambda: server.serializeAttachment("x" * 17000))
        refused(lambda: js.WebSocketRequestResponsePair.new("x" * 2049, ""))
        refused(lambda: self.ctx.setHibernatableWebSocketEventTimeout(604_800_001))
        found.append(str(server.deserializeAttachment()))
        return json.dumps(found)

    def count(self):
        self.said += 1
        return self.said

    async def webSocketMessage(self, ws, message):
        if not isinstance(message, str):
            return ws.send(message.to_bytes()[::-1])
        name, _, rest = message.partition(" ")
        answer = await getattr(self, f"do_{name}")(ws, rest)
        if answer is not None:
            ws.send(str(answer))
        return None

    async def webSocketClose(self, ws, code, reason, was_clean):
        print(
            "closed", code, reason, was_clean, ws.readyState, ws.deserializeAttachment(), len(self.ctx.getWebSockets())
        )
        if reason == "raise":
            raise ValueError("close failed")
        if reason != "leave":
            ws.close(code, f"{reason}!")

    async def webSocketError(self, ws, error):
        print("error", error)

    async def do_echo(self, ws, rest):
        return rest

    async def do_state(self, ws, rest):
        return f"{VERSION} {self.count()} {self.at_first}"

    async def do_attach(self, ws, rest):
        ws.serializeAttachment({"text": rest, "list": [1, None, b"x"]})

    async def do_attached(self, ws, rest):
        found = ws.deserializeAttachment()
        return str(found and [found.text, found["list"][:2], bytes(found["list"][2])])

    async def do_tags(self, ws, rest):
        return sorted(self.ctx.getTags(ws))

    async def do_tagged(self, ws, rest):
        return len(self.ctx.getWebSockets(rest)), len(self.ctx.getWebSockets())

    async def do_all(self, ws, rest):
        for one in self.ctx.getWebSockets():
            one.send(rest)

    async def do_answered(self, ws, rest):
        pair, at = self.ctx.getWebSocketAutoResponse(), self.ctx.getWebSocketAutoResponseTimestamp(ws)
        return pair and [pair.request, pair.response], at and at.year

    async def do_unpair(self, ws, rest):
        self.ctx.setWebSocketAutoResponse()

    async def do_timeout(self, ws, rest):
        before = self.ctx.getHibernatableWebSocketEventTimeout()
        self.ctx.setHibernatableWebSocketEventTimeout(int(rest))
        return before, self.ctx.getHibernatableWebSocketEventTimeout()

    async def do_sleep(self, ws, rest):
        try:
            await asyncio.sleep(float(rest))
        except BaseException as error:
            print("slept", type(error).__name__)
            raise
        return "slept"

    async def do_raise(self, ws, rest):
        raise ValueError(rest)

    async def do_close(self, ws, rest):
        code, _, reason = rest.partition(" ")
        ws.close(int(code), reason)

    async def do_pid(self, ws, rest):
        return os.getpid()

    async def do_keep(self, ws, rest):
        """Said once it is kept."""
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS said (text)")
        self.ctx.storage.sql.exec("INSERT INTO said VALUES (?)", rest)
        ws.send("kept")
        return next(iter(self.ctx.storage.sql.exec("SELECT count(*) AS count FROM said"))).count


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = URL(request.url)
        room = self.env.ROOM.getByName(url.searchParams.get("room") or "one")
        if url.pathname != "/within":
            return await room.fetch(request)
        socket = (await room.fetch("http://room/", headers={"Upgrade": "websocket"})).web_socket
        heard = asyncio.get_running_loop().create_future()
        socket.addEventListener("message", lambda event: heard.set_result(event.data))
        socket.accept()
        socket.send("echo from a worker")
        return Response(await heard)
