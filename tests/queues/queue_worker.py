"""What the tests of queues are served by. ``/case`` runs the producer's case of that name; what the consumer is given
is kept in order, and answered by ``/seen``. What it does with a message, the message says."""

import json
import re
from datetime import datetime, timedelta

from pyodide.ffi import JsException

from workers import Response, WorkerEntrypoint

seen = []


async def caught(awaitable, kind):
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError("nothing was raised")


async def raises(awaitable, name, text):
    error = await caught(awaitable, JsException)
    assert error.name == name, error
    assert text in error.message, error


class Cases:
    def __init__(self, env):
        self.env, self.q = env, env.KEPT

    async def a_send_answers_the_metrics(self):
        before = (await self.q.metrics()).backlogCount
        sent = await self.q.send({"a": 1})
        assert sent.metadata.metrics.backlogCount == before + 1
        assert sent.metadata.metrics.backlogBytes >= len('{"a":1}')
        assert sent.metadata.metrics.oldestMessageTimestamp > 1.7e12
        assert (await self.q.metrics()).backlogCount == before + 1

    async def a_batch_is_sent_whole(self):
        before = (await self.q.metrics()).backlogCount
        sent = await self.q.sendBatch([{"body": 1}, {"body": "2", "contentType": "text"}, {"body": None}])
        assert sent.metadata.metrics.backlogCount == before + 3
        await raises(self.q.sendBatch([{"body": 1}, {"body": "x" * 128_001}]), "Error", "(15000)")
        assert (await self.q.metrics()).backlogCount == before + 3

    async def what_is_wrong_with_a_batch_is_said(self):
        await raises(self.q.sendBatch([]), "TypeError", "sendBatch() requires at least one message")
        await raises(self.q.sendBatch("x"), "TypeError", "parameter 1 is not of type 'Sequence'")
        await raises(self.q.sendBatch([{"body": 1}], 5), "TypeError", "parameter 2 is not of type 'SendBatchOptions'")
        await raises(self.q.send("x", 5), "TypeError", "parameter 2 is not of type 'SendOptions'")
        text = "Incorrect type: the provided value is not of type 'MessageSendRequest'."
        await raises(self.q.sendBatch([{"text": 1}]), "TypeError", text)
        await raises(self.q.sendBatch([1]), "TypeError", text)
        many = [{"body": 1}] * 101
        await raises(self.q.sendBatch(many), "Error", "batch message count of 101 exceeds limit of 100 (15000)")
        big = [{"body": "x" * 100_000}] * 3
        await raises(self.q.sendBatch(big), "Error", "batch size of 300006 bytes exceeds limit of 288000 (15000)")

    async def what_is_wrong_with_a_message_is_said(self):
        text = "message length of 128002 bytes exceeds limit of 128000 (15000)"
        await raises(self.q.send("x" * 128_000), "Error", text)
        await self.q.send("x" * 128_000, contentType="text")
        await raises(self.q.send(1, contentType="bogus"), "TypeError", "Unsupported queue message content type: bogus")
        text = 'Content Type "text" requires a value of type string, but received: '
        await raises(self.q.send({}, contentType="text"), "TypeError", text + "object")
        await raises(self.q.send(1, contentType="text"), "TypeError", text + "number")
        text = 'Content Type "bytes" requires a value of type ArrayBufferView, but received: string'
        await raises(self.q.send("x", contentType="bytes"), "TypeError", text)
        await raises(self.q.send(2**60), "Error", "(15000)")
        await raises(self.q.send(lambda: 1, contentType="v8"), "Error", "(15000)")
        for value in ((1, 2), bytearray(b"x"), [(1,)]):
            error = await caught(self.q.send(value), TypeError)
            assert "cannot be sent over RPC" in str(error)

    async def delays_have_a_range(self):
        await self.q.send(1, delaySeconds=86_400)
        await self.q.send(1, {"delaySeconds": 1.9})
        for delay in (-1, 86_401, float("nan")):
            await raises(self.q.send(1, delaySeconds=delay), "Error", "is not from 0 to 86400 (15000)")
        await raises(self.q.sendBatch([{"body": 1}], delaySeconds=-1), "Error", "is not from 0 to 86400 (15000)")
        await raises(self.q.send(1, delaySeconds="1"), "TypeError", "not of type 'number'")

    async def misspelt_options_are_ignored(self):
        await self.q.send(1, delay_seconds="soon", content_type="bogus")

    async def names_are_javascripts(self):
        assert not hasattr(self.q, "send_batch")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.split("/", 3)[3]
        if name == "seen":
            return Response.json(seen)
        if name == "send":
            queue, messages = json.loads(await request.text())
            await getattr(self.env, queue).sendBatch(messages)
            return Response("sent")
        if name == "types":
            await self.types()
            return Response("sent")
        await getattr(Cases(self.env), name)()
        return Response("held")

    async def types(self):
        send = self.env.JOBS.send
        moment = datetime(2026, 1, 2, 3, 4, 5, 678_999)
        value = {"bytes": b"\1\2", "set": {1}, "at": moment, "none": None, "list": [1, 2.5, "x"]}
        await send(value)
        await send("text", contentType="text")
        await send(b"\1\2", contentType="bytes")
        await send(value, contentType="v8")
        await send(None)

    async def queue(self, batch, env, ctx):
        assert (self.env is not None, env is not None, ctx is not None) == (True, True, True)
        assert batch.metadata.metrics.backlogCount >= 0
        for message in batch.messages:
            assert re.fullmatch("[0-9a-f]{32}", message.id)
            assert abs(message.timestamp - datetime.now()) < timedelta(minutes=5)
            seen.append([batch.queue, len(batch.messages), message.id, message.attempts, self.shown(message.body)])
        for message in batch.messages:
            self.do(message, batch)

    def do(self, message, batch):
        orders = message.body if isinstance(message.body, dict) else {}
        for order in orders.get("do", ()):
            if order == "raise":
                raise ValueError("as it was told")
            target, _, name = order.partition(".")
            method = getattr({"message": message, "batch": batch}[target], name.partition(" ")[0])
            delay = name.partition(" ")[2]
            method(delaySeconds=int(delay)) if delay else method()

    def shown(self, body):
        if isinstance(body, memoryview):
            return {"bytes": bytes(body).hex()}
        if isinstance(body, dict) and "at" in body:
            kinds = {name: type(value).__name__ for name, value in body.items()}
            return {"kinds": kinds, "at": str(body["at"])}
        return body
