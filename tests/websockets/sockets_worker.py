"""A worker of many sockets: ``/name`` is what the function ``name`` does with its own end."""

import asyncio
import os

import js
from pyodide.ffi import JsException, create_proxy, to_js

from workers import URL, Response, WorkerEntrypoint, fetch


def echo(server, ctx):
    server.addEventListener("message", create_proxy(lambda event: server.send(event.data)))


def says(server, ctx):
    """What it is told of closing goes to the log."""
    server.addEventListener(
        "close", lambda event: print("closed", event.code, event.reason, event.wasClean, server.readyState)
    )
    server.addEventListener("error", lambda event: print("error", event.message))
    server.onmessage = lambda event: server.send(
        f"{event.type} {event.target is server} {server.url} {server.readyState} "
        f"{isinstance(event, js.MessageEvent)} {event.cancelable}"
    )


def first(server, ctx):
    """Speaks first, and keeps the order of what it says before and after its answer."""
    for number in range(3):
        server.send(number)
    asyncio.get_running_loop().call_soon(server.send, "later")


def kinds(server, ctx):
    async def on(event):
        if isinstance(event.data, js.Blob):
            content = await event.data.bytes()
            server.send(f"blob {len(content)} {content[:2].hex()}")
            server.binaryType = "arraybuffer"
        elif isinstance(event.data, bytes):
            server.send(
                f"buffer {event.data.byteLength} {bytes(event.data.to_py()[:2]).hex()} {event.data.to_bytes()[-1]}"
            )
        else:
            for value in (5, 1.5, 2.0, None, True, b"ab", bytearray(b"c"), memoryview(b"de"), "é\ud800"):
                server.send(value)

    server.addEventListener("message", create_proxy(on))


def closes(server, ctx):
    """What it is sent is what it closes with."""

    def on(event):
        code, _, reason = event.data.partition(" ")
        try:
            server.close(*([int(code)] if code else []), *([reason] if reason else []))
            server.close(4000, "twice")
            server.send("after")
        except TypeError as error:
            if server.readyState == 1:
                server.send(str(error))
            else:
                print("refused:", error)

    server.addEventListener("message", on)
    server.addEventListener("close", lambda event: print("closed", event.code, event.reason, event.wasClean))


def half(server, ctx):
    """Has the last word: the client's Close is answered when this says so."""

    def on(event):
        print("half", server.readyState)
        server.send("still here")
        server.close(event.code, "done")

    server.addEventListener("close", on)


def fails(server, ctx):
    def plain(event):
        raise ValueError("plain failed")

    async def slow(event):
        await asyncio.sleep(0)
        raise ValueError("slow failed")

    server.addEventListener("message", plain)
    server.addEventListener("message", slow)
    server.addEventListener("message", lambda event: server.send("third"))


def once(server, ctx):
    count = []
    listener = create_proxy(lambda event: server.send(f"every {len(count)}"))
    server.addEventListener("message", lambda event: server.send("once"), to_js({"once": True}))
    server.addEventListener("message", listener)
    server.addEventListener("message", listener)

    def drop(event):
        count.append(event)
        if event.data == "drop":
            server.removeEventListener("message", listener)

    server.addEventListener("message", drop)


def flood(server, ctx):
    """More than a client that does not read can be sent."""

    def on(event):
        for _ in range(int(event.data)):
            server.send(b"x" * 1024 * 1024)

    server.addEventListener("message", on)
    server.addEventListener("close", lambda event: print("flood", event.code))


def slow(server, ctx):
    """Deals with a message a while later."""
    state = {"now": 0, "most": 0}

    async def on(event):
        if event.data == "most":
            return server.send(state["most"])
        state["now"] += 1
        state["most"] = max(state["most"], state["now"])
        await asyncio.sleep(0.02)
        state["now"] -= 1

    server.addEventListener("message", on)


def lives(server, ctx):
    """What it waits for goes on as long as the socket is open."""

    async def later():
        await asyncio.sleep(1.5)
        server.send("lived")

    server.addEventListener("message", lambda event: ctx.waitUntil(later()))


def spins(server, ctx):
    def on(event):
        while event.data == "spin":
            pass
        server.send("fine")

    server.addEventListener("message", on)


def asks(server, ctx):
    """Asks outside, so often for each message."""

    async def on(event):
        try:
            for _ in range(int(event.data)):
                await _refused()
        except TypeError as error:
            return server.send(str(error))
        return server.send("enough")

    server.addEventListener("message", on)


async def _refused():
    try:
        await fetch("http://127.0.0.1:9/")
    except TypeError as error:
        if "subrequests" in str(error):
            raise


SOCKETS = {function.__name__: function for function in (
    echo, says, first, kinds, closes, half, fails, once, flood, slow, lives, spins, asks,
)}  # fmt: skip


def refusal(call):
    try:
        call()
    except (TypeError, ValueError, JsException) as error:
        return str(error)
    raise AssertionError("it was not refused")


async def pairs(request):
    """Both ends in one worker."""
    pair = js.WebSocketPair.new()
    assert list(pair) == pair.object_values() == js.Object.values(pair) == [pair[0], pair[1]]
    assert (getattr(pair, "0"), len(pair)) == (pair[0], 2)
    one, other = pair
    heard, done = [], asyncio.get_running_loop().create_future()
    assert (one.readyState, one.url, one.protocol, one.extensions) == (1, None, "", "")
    for early in (lambda: one.send("x"), lambda: one.close()):
        assert refusal(early).startswith("You must call one of accept()")
    one.accept()
    one.accept()
    one.send("before")
    other.addEventListener("message", lambda event: heard.append(event.data))
    other.addEventListener("close", lambda event: done.set_result((event.code, event.reason, event.wasClean)))
    other.accept()
    one.send("after")
    one.close(4001, "enough")
    assert await done == (4001, "enough", True)
    await asyncio.sleep(0)
    assert (heard, one.readyState, other.readyState) == (["before", "after"], 3, 3)
    return Response("held")


async def misuses(request):
    client, _ = js.WebSocketPair.new().object_values()
    for options, error in (
        ({"status": 101}, "200 to 599"),
        ({"status": 200, "web_socket": client}, "must have status code 101"),
        ({"status": 101, "web_socket": client, "body": "x"}, "cannot have a body"),
    ):
        assert error in refusal(lambda options=options: Response(options.pop("body", None), **options))
    made = js.Response.new(None, to_js({"status": 101, "webSocket": client}))
    assert made.webSocket is made.web_socket is made.js_object.webSocket is client
    assert js.Response.new(None, status=101, webSocket=client).status == 101
    return Response("held")


async def through(request):
    return await fetch(URL(request.url).searchParams.get("to"), request)


async def talks(request):
    """With another server, and answers with what that says."""
    response = await fetch(
        URL(request.url).searchParams.get("to"), headers={"Upgrade": "websocket", "Sec-WebSocket-Protocol": "two"}
    )
    if response.status != 101:
        return Response(f"refused {response.status} {await response.text()}")
    socket = response.web_socket
    assert socket is response.js_object.webSocket
    heard, closed = asyncio.Queue(), asyncio.get_running_loop().create_future()
    socket.addEventListener("message", lambda event: heard.put_nowait(event.data))
    socket.addEventListener("close", lambda event: closed.set_result(f"{event.code} {event.reason} {event.wasClean}"))
    socket.accept()
    socket.send("one")
    socket.send(b"two")
    text = [await heard.get(), await (await heard.get()).text()]
    socket.close(3000, "enough")
    return Response(f"{socket.protocol} {text} {await closed}")


async def opens(request):
    """A socket of its own, as a browser's: what it is told, in order."""
    query = URL(request.url).searchParams
    said, over = [], asyncio.get_running_loop().create_future()
    socket = js.WebSocket.new(query.get("to"), query.get_all("protocol"))
    assert (socket.readyState, isinstance(socket, js.WebSocket)) == (js.WebSocket.CONNECTING, True)
    said += [refusal(socket.accept), refusal(lambda: socket.send("early"))]

    def opened(event):
        said.append(f"{event.type} {socket.readyState} {socket.protocol} {socket.extensions.partition(';')[0]}")
        socket.send("x" * 1000)

    def heard(event):
        said.append(f"{len(event.data)} of {socket.url == query.get('to')}")
        socket.close(4001, "enough")

    def closed(event):
        said.append(f"close {event.code} {event.reason} {event.wasClean} {socket.readyState}")
        over.set_result(None)

    socket.onopen = opened
    socket.addEventListener("message", heard)
    socket.addEventListener("error", lambda event: said.append(f"error {event.message}"))
    socket.addEventListener("close", closed)
    if query.get("early"):
        socket.close()
    await over
    return Response("\n".join(said[2:]))


async def refuses(request):
    for url, protocols in (("no url", None), ("http://a/", None), ("ws://a/#b", None), ("ws://a/", "a b"),
                           ("ws://a/", ["a", "a"])):  # fmt: skip
        print(refusal(lambda url=url, protocols=protocols: js.WebSocket.new(url, protocols)))
    return Response("held")


async def forgets(request):
    """Neither accepts nor closes what it has asked for; nor closes what it has accepted."""
    to = URL(request.url).searchParams.get("to")
    await fetch(to, headers={"Upgrade": "websocket"})
    (await fetch(to, headers={"Upgrade": "websocket"})).web_socket.accept()
    return Response("done")


async def relays(request):
    """Each message of the client's goes to another server through this worker, and back."""
    upstream = (await fetch(URL(request.url).searchParams.get("to"), headers={"Upgrade": "websocket"})).web_socket
    client, server = js.WebSocketPair.new().object_values()
    server.accept()
    upstream.accept()
    server.addEventListener("message", lambda event: upstream.send(event.data))
    upstream.addEventListener("message", lambda event: server.send(event.data))
    return Response(None, status=101, web_socket=client)


async def pid(request):
    return Response(str(os.getpid()))


async def protocol(request):
    client, server = js.WebSocketPair.new().object_values()
    server.accept()
    return Response(None, status=101, web_socket=client, headers={"Sec-WebSocket-Protocol": "two", "X-Told": "yes"})


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = URL(request.url).pathname.strip("/")
        if name not in SOCKETS:
            return await globals()[name](request)
        client, server = js.WebSocketPair.new().object_values()
        server.accept(allowHalfOpen=name == "half")
        SOCKETS[name](server, self.ctx)
        return Response(None, status=101, web_socket=client)
