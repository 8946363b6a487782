"""Cases of the worker that calls: what crosses by reference, and what streams."""

import asyncio
import gc

from checks import DISPOSED, fails, refused
from pyodide.ffi import JsException, create_proxy

from workers import Blob, File, Headers, ReadableStream, Request, Response, RpcTarget

held = []


# functions and targets


async def functions_are_called_back(env):
    async def later(x, y):
        await asyncio.sleep(0)
        return x + y

    assert await env.NAMED.calls_back(lambda x: x + 1, 4) == 5
    assert await env.NAMED.calls_back(later, 1, 2) == 3
    assert await env.NAMED.calls_back(create_proxy(len), "four") == 4
    name, message = await refused(env.NAMED.calls_back(later, 1))
    assert name == "PythonError"
    assert "missing 1 required positional argument" in message


async def a_callback_that_raises(env):
    def boom():
        raise ValueError("mine")

    name, message = await refused(env.NAMED.calls_back(boom))
    assert name == "PythonError"
    assert "ValueError: mine" in message
    assert "JsException: PythonError" in message  # which the callee did not catch


class Mine(RpcTarget):
    def __init__(self):
        self.sum = 0

    def add(self, x):
        self.sum += x
        return self.sum


async def nested_functions_and_targets(env):
    mine = Mine()
    found = await env.NAMED.calls_all({"f": lambda x: x * 10, "list": [lambda x: x * 100], "deep": {"target": mine}})
    assert (found, mine.sum) == ([10, 200, 3], 3)


async def returned_functions_and_targets(env):
    found = await env.NAMED.functions()
    assert await found["lambda"](21) == 42
    assert await found.later(1) == 2
    assert await found.list[0]([1, 2]) == 2
    counter = found.counter
    assert [await counter.add(), await counter.add(5), await counter.later(1)] == [1, 6, 7]
    for name in ("nope", "_hidden", "own", "attribute", "count"):
        text = f'The RPC receiver does not implement the method "{name}".'
        assert await refused(counter._call(name)) == ("TypeError", text)
    assert (await refused(counter()))[0] == "TypeError"
    assert (await refused(found["lambda"].name()))[0] == "TypeError"


async def a_stub_is_handed_on(env):
    counter = await env.NAMED.counter()
    again = await env.NAMED.passes_on(counter)
    assert [await counter.add(), await again.add()] == [1, 2]
    counter.dispose()
    assert await refused(counter.add(), remote=False) == DISPOSED
    assert await again.add() == 3
    assert await refused(env.NAMED.passes_on(counter), remote=False) == DISPOSED


async def a_stub_ends_with_its_event(env):
    await env.NAMED.keeps(lambda: 1)
    name, message = await refused(env.NAMED.uses_kept())
    assert name == "PythonError"
    assert DISPOSED[1] in message.splitlines()[-1]


async def a_stub_lives_as_long_as_its_events_tasks(env):
    told = asyncio.get_running_loop().create_future()
    await env.NAMED.keeps_for_later(told.set_result)
    assert await told == "later"


async def hold_a_stub(env):
    held.append(await env.NAMED.counter())
    assert await held[0].add() == 1


async def use_what_an_earlier_event_held(env):
    assert await refused(held.pop().add(), remote=False) == DISPOSED


async def forgotten(env):
    """Once the owner has forgotten what nobody holds any more."""
    async with asyncio.timeout(20):
        while await env.NAMED.counters():
            gc.collect()  # an exception that was caught may hold its arguments in a circle
            await asyncio.sleep(0.01)


async def an_object_goes_with_its_last_holder(env):
    await forgotten(env)
    counter, other = await env.NAMED.counter(), await env.NAMED.counter()
    again = await env.NAMED.passes_on(counter)
    assert await env.NAMED.counters() == 2
    other.dispose()
    del counter
    await asyncio.sleep(0.05)
    assert (await env.NAMED.counters(), await again.add()) == (1, 1)
    del again  # garbage is let go of too
    await forgotten(env)
    await refused(env.NAMED.takes_one(await env.NAMED.counter(), Mine()))
    await forgotten(env)


async def stubs_are_counted(env):
    counters = await env.NAMED.many(1000)
    assert [await counters[0].add(), await counters[999].add()] == [1, 1]
    assert "functions, streams and stubs in one call" in (await refused(env.NAMED.many(2000), remote=False))[1]
    for _ in range(12):
        counters += await env.NAMED.many(500) if len(counters) < 9500 else []
    kind, message = "", ""
    for _ in range(10):
        try:
            counters += await env.NAMED.many(1000)
        except JsException as error:
            kind, message = error.name, error.message
    assert (kind, message) == ("Error", "more than 10,000 RPC stubs are held at a time")
    assert await counters[0].add() == 2
    counters.clear()
    await forgotten(env)
    assert await (await env.NAMED.counter()).add() == 1


# what no worker sends, if it keeps to what it is given


async def what_is_made_up(env):
    line, fine = env.NAMED._line, line_payload()
    for number in (999_999, -1, 0):
        assert await refused(line._ask("invoke", number, "", fine, []), remote=False) == DISPOSED
    for table in ([["held", 999_999]], [["lent", "x"]], [["lent"]], ["x"], [["stream", 1]], {"a": 1}, [["yours", 5]]):
        assert await refused(line._ask("call", "NAMED", None, "echo", fine, table), remote=False)
    for payload in (b"\xc1", b"\x91\xc7\x01\x0699", b"", b"\x01"):
        assert await refused(line._ask("call", "NAMED", None, "echo", payload, []))
    for args in (
        ("call", "NOSUCH", None, "echo", fine, []), ("call", "", None, "echo", fine, []),
        ("call", "", ["Default", 1], "echo", fine, []), ("call", "NAMED", None, 5, fine, []),
        ("call", "NAMED", None, "x" * 2000, fine, []), ("call", "NAMED", None, "echo", "text", []), ("call", 5),
        ("request", "NAMED", None, "GET", "http://x/", 5, None, None), ("request", "NAMED", None, "GET"),
    ):  # fmt: skip
        await refused(line._ask(*args), remote=False)
    stream = [await line._ask("call", "NAMED", None, "passes_on", b"\x91\xd4\x060", [["mine", 999_999]])]
    await refused(Response(line.unpack(*stream[0])).text())
    line.channel.note("returned", 999_999)
    line.channel.note("returned", "x", None)
    line.channel.note("nothing")
    assert await env.NAMED.add(1, 1) == 2


def line_payload():
    return b"\x91\x01"  # [1]


# streams and messages


async def streams(env):
    assert await Response(await env.NAMED.stream("a", b"b" * 300_000)).text() == "a" + "b" * 300_000

    async def mine():
        yield "x"
        yield b"y"

    assert await env.NAMED.reads(ReadableStream(mine())) == "xy"
    assert await env.NAMED.reads(await env.NAMED.passes_on(ReadableStream(mine()))) == "xy"
    assert await env.NAMED.reads(Response("of a body").body) == "of a body"


async def a_stream_that_breaks(env):
    stream = await env.NAMED.broken_stream()
    name, message = await refused(Response(stream).text())
    assert (name, message) == ("ValueError", "half-way")


async def a_stream_is_read_once(env):
    stream = await env.NAMED.stream("a")
    await Response(stream).text()
    await fails(env.NAMED.reads(stream), TypeError, "used already")


async def requests_and_responses(env):
    request = Request("http://x/y", method="POST", headers={"x-a": "1"}, body="text")
    assert await env.NAMED.request_text(request) == ["POST", "http://x/y", "1", "text"]
    response = await env.NAMED.response("text")
    assert (response.status, response.headers["x-a"], await response.text()) == (202, "1", "text")
    response = await env.NAMED.passes_on(Response("é" * 2_000_000, headers={"x-b": "2"}))
    assert (response.headers["x-b"], len(await response.text())) == ("2", 2_000_000)
    [headers] = await env.NAMED.echo(Headers({"a": "b"}))
    assert isinstance(headers, Headers)
    assert headers["a"] == "b"


async def blobs_and_files(env):
    blob = await env.NAMED.blob(Blob([b"x"], type="a/b"))
    assert isinstance(blob, Blob)
    assert (bytes(blob), blob.type) == (b"x!", "a/b")
    [file] = await env.NAMED.echo(File([b"x"], "a.txt", type="text/plain", last_modified=5))
    assert isinstance(file, File)
    assert (file.name, file.type, file.last_modified, bytes(file)) == ("a.txt", "text/plain", 5, b"x")


async def sockets(env):
    response = await env.NAMED.fetch("http://x/socket", headers={"Upgrade": "websocket"})
    socket, heard = response.web_socket, asyncio.get_running_loop().create_future()
    assert response.status == 101
    socket.accept()
    socket.addEventListener("message", lambda event: heard.set_result(event.data))
    socket.send("hello")
    assert await heard == "echo hello"
    socket.close(1000, "done")
