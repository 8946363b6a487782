"""A chat room with a model in it: whoever says ``@model ...`` is answered by it, word by word, before everybody.

``/api/rooms/NAME?name=WHO`` is a WebSocket. Messages are JSON: ``{"text": ...}`` goes in; out come
``{"id", "who", "text"}`` and, of an answer that is still being made, ``{"id", "more"}``. Sockets hibernate: a room in
which nobody speaks costs no memory, and new code closes none of them.
"""

import json
import time
from urllib.parse import parse_qs, urlsplit

import js

from workers import DurableObject, Response, WorkerEntrypoint

CALL = "@model"
LONGEST = 2000  # characters of a message
SHOWN = 50  # messages that a newcomer sees, and the model is told
SYSTEM = {"role": "system", "content": "You are a guest in a chat room. Answer the last message, briefly."}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlsplit(request.url).path.removeprefix("/api/rooms/")
        if request.headers["upgrade"] != "websocket" or not path:
            return Response("Expected a WebSocket at /api/rooms/NAME\n", status=426)
        return await self.env.ROOMS.getByName(path).fetch(request)


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.sql = ctx.storage.sql
        self.sql.exec(
            "CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, who TEXT NOT NULL, text TEXT NOT NULL)"
        )

    async def fetch(self, request):
        who = parse_qs(urlsplit(request.url).query).get("name", ["somebody"])[0]
        client, server = js.WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(server)
        server.serializeAttachment({"who": who[:40]})
        for message in self.history():
            server.send(json.dumps(message))
        await self.wake()
        return Response(None, status=101, web_socket=client)

    async def webSocketMessage(self, ws, message):
        text = json.loads(message)["text"].strip()[:LONGEST]
        if not text:
            return
        self.say(ws.deserializeAttachment()["who"], text)
        await self.wake()
        if text.startswith(CALL):
            self.ctx.waitUntil(self.answer())

    async def webSocketClose(self, ws, code, reason, was_clean):
        ws.close(1000, reason)  # what a client says without a code, 1005, nobody may say

    async def alarm(self):
        """Nobody has said anything for a while."""
        for socket in self.ctx.getWebSockets():
            socket.close(1000, "the room was quiet for too long")
        self.sql.exec("DELETE FROM messages")

    async def answer(self):
        """The model's words go out as they come, and are kept once they are all there."""
        turns = [
            {"role": "assistant" if one["who"] == CALL else "user", "content": f"{one['who']}: {one['text']}"}
            for one in self.history()
        ]
        asked = {"messages": [SYSTEM, *turns], "max_tokens": 256, "stream": True}
        number, said = self.keep(CALL, ""), ""
        try:
            async for word in words(await self.env.AI.run(self.env.MODEL, asked)):
                said += word
                self.tell({"id": number, "more": word})
        except Exception as error:
            said += f" ({error})"
        self.sql.exec("UPDATE messages SET text = ? WHERE id = ?", said, number)
        self.tell({"id": number, "who": CALL, "text": said})
        await self.wake()

    def say(self, who, text):
        self.tell({"id": self.keep(who, text), "who": who, "text": text})

    def keep(self, who, text):
        added = self.sql.exec("INSERT INTO messages (who, text) VALUES (?, ?) RETURNING id", who, text)
        return added.one().id

    def history(self):
        found = self.sql.exec("SELECT id, who, text FROM messages ORDER BY id DESC LIMIT ?", SHOWN).toArray()
        return [dict(row) for row in reversed(found)]

    def tell(self, event):
        for socket in self.ctx.getWebSockets():
            socket.send(json.dumps(event))

    async def wake(self):
        await self.ctx.storage.setAlarm(int((time.time() + self.env.QUIET_SECONDS) * 1000))


async def words(stream):
    """The text of a model's events. A chunk may hold several of them, or end in the middle of one."""
    pending = b""
    async for chunk in stream:
        *events, pending = (pending + chunk).split(b"\n\n")
        for event in events:
            data = event.removeprefix(b"data: ")
            if data != b"[DONE]":
                yield json.loads(data).get("response") or ""
