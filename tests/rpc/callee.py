"""The worker that is called in the tests of RPC."""

import asyncio
import datetime
import decimal
import os
import signal
import weakref

import js

from workers import URL, Blob, FormData, ReadableStream, Response, RpcTarget, WorkerEntrypoint

kept = []
counters = weakref.WeakSet()  # that somebody holds


class Counter(RpcTarget):
    attribute = 1

    def __init__(self):
        self.count, self.own = 0, lambda: "own"
        counters.add(self)

    def add(self, by=1):
        self.count += by
        return self.count

    async def later(self, by):
        await asyncio.sleep(0)
        return self.add(by)

    def _hidden(self):
        return "hidden"


class Named(WorkerEntrypoint):
    attribute = 1

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.calls = 0

    @property
    def property(self):
        return 1

    async def fetch(self, request):
        path = URL(request.url).pathname
        if path == "/boom":
            raise ValueError("boom")
        if path == "/socket":
            client, server = js.WebSocketPair.new().object_values()
            server.accept()
            server.addEventListener("message", lambda event: server.send(f"echo {event.data}"))
            return Response(None, status=101, web_socket=client)
        if path == "/echo":
            return Response(request.body)
        if path == "/away":
            return Response(None, status=302, headers={"location": "/there"})
        text = await request.text()
        return Response(f"{request.method} {request.url} {text}", status=201, headers={"x-from": "named"})

    async def add(self, a, b):
        self.calls += 1
        return a + b + self.calls - 1

    def sync(self, a):
        return asyncio.get_running_loop() if a is None else a  # no loop runs in a thread

    async def _private(self):
        return "private"

    async def echo(self, *values):
        return list(values)

    async def kinds(self, *values):
        return [type(value).__name__ for value in values]

    async def boom(self):
        raise KeyError("no such thing")

    async def exits(self):
        raise SystemExit(3)

    async def dies(self):
        os.kill(os.getpid(), signal.SIGKILL)

    async def waits(self):
        await asyncio.sleep(3600)

    async def pid(self):
        return os.getpid()

    async def props(self):
        return dict(self.ctx.props), self.ctx.props.p if "p" in self.ctx.props else None

    async def own_props(self):
        return [dict(self.ctx.props), getattr(self.ctx.props, "p", None)]

    async def calls_back(self, function, *args):
        return await function(*args)

    async def calls_all(self, things):
        return [await things["f"](1), await things.list[0](2), await things["deep"]["target"].add(3)]

    async def functions(self):
        async def later(x):
            return x + 1

        return {"lambda": lambda x: x * 2, "later": later, "list": [len], "counter": Counter()}

    async def counter(self):
        return Counter()

    async def counters(self):
        return len(counters)

    async def keeps(self, function):
        kept.append(function)

    async def uses_kept(self):
        return await kept.pop()()

    async def keeps_for_later(self, function):
        async def later():
            await asyncio.sleep(0.05)
            await function("later")

        self.ctx.waitUntil(later())

    async def stream(self, *chunks):
        async def generate():
            for chunk in chunks:
                yield chunk

        return ReadableStream(generate())

    async def broken_stream(self):
        async def generate():
            yield "one"
            raise ValueError("half-way")

        return ReadableStream(generate())

    async def reads(self, stream):
        return await Response(stream).text()

    async def passes_on(self, thing):
        return thing

    async def request_text(self, request):
        return [request.method, request.url, request.headers["x-a"], await request.text()]

    async def response(self, text):
        return Response(text, status=202, headers={"x-a": "1"})

    async def blob(self, blob):
        return Blob([await blob.bytes(), b"!"], type=blob.type)

    async def returns(self, what):
        return {
            "tuple": (1,),
            "bytearray": bytearray(b"x"),
            "range": range(3),
            "decimal": decimal.Decimal(1),
            "object": object(),
            "form": FormData(),
            "date": datetime.date(2026, 1, 1),
            "generator": (x for x in "a"),
        }[what]

    async def many(self, count):
        return [Counter() for _ in range(count)]

    async def down(self, n):
        """Calls itself by way of a binding, n deep."""
        return await self.env.SELF.down(n - 1) + 1 if n else 0

    async def down_later(self, n):
        self.ctx.waitUntil(self.env.SELF.down_later(n + 1))
        kept.append(n)

    async def deepest(self):
        return max(kept)

    async def bounce(self, function, n):
        return await function(n)


class Bare(WorkerEntrypoint):
    async def one(self):
        return 1


class _Hidden(WorkerEntrypoint):
    async def one(self):
        return 1


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(f"default {request.url}")

    async def hello(self, name="you"):
        return f"hello {name}"
