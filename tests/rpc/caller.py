"""The worker that calls in the tests of RPC: each function is a case, with its assertions inside."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal

import js
import objects
from checks import NO_RECEIVER, fails, refused
from pyodide.ffi import JsBigInt

from workers import URL, FormData, Request, Response, WorkerEntrypoint  # fmt: skip


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = URL(request.url).pathname.strip("/")
        case = getattr(objects, name, None) or globals()[name]
        answer = await case(self.env, *([self.ctx, request] if name.startswith("request_") else []))
        return Response("held\n") if answer is None else answer


# what is called


async def methods(env):
    assert await env.NAMED.add(1, 2) == 3
    assert await env.DEFAULT.hello() == "hello you"
    assert await env.DEFAULT.hello("bob") == "hello bob"
    assert await env.NAMED._private() == "private"
    assert await env.BARE.one() == 1


async def a_sync_method_runs_in_a_thread(env):
    assert await env.NAMED.sync("fine") == "fine"
    name, message = await refused(env.NAMED.sync(None))
    assert (name, message.splitlines()[-1]) == ("PythonError", "RuntimeError: no running event loop")


async def each_call_has_an_instance_of_its_own(env):
    assert [await env.NAMED.add(1, 1) for _ in range(3)] == [2, 2, 2]


async def arity_is_exact(env):
    for call in (env.NAMED.add(1), env.NAMED.add(1, 2, 3), env.DEFAULT.hello("a", "b")):
        name, message = await refused(call)
        assert name == "PythonError"
        assert message.splitlines()[-1].startswith("TypeError: "), message


async def keywords_are_one_trailing_object(env):
    assert await env.NAMED.echo(1, a=2, b=[3]) == [1, {"a": 2, "b": [3]}]
    assert await env.NAMED.echo(a=1) == [{"a": 1}]
    assert await env.NAMED.echo() == []


async def any_attribute_is_callable(env):
    assert callable(env.NAMED.anything)
    assert callable(env.NAMED.attribute)
    try:
        await env.NAMED.attribute
    except TypeError:
        return
    raise AssertionError("it was awaited")


async def what_is_no_method(env):
    for name in ("nope", "attribute", "property", "__init__", "__class__"):
        assert await refused(env.NAMED._call(name)) == ("TypeError", f"Method {name} does not exist")


async def reserved_names(env):
    for name in ("fetch", "connect"):
        found = await refused(env.NAMED._call(name))
        assert found == ("TypeError", f"'{name}' is a reserved method and cannot be called over RPC.")


async def props(env):
    assert await env.NAMED.own_props() == [{"p": 7, "deep": {"list": [1]}}, 7]
    assert await env.SELF.own_props() == [{}, None]


async def entrypoints_that_are_none(env):
    for binding, name in ((env.HIDDEN, "_Hidden"), (env.UNKNOWN, "Unknown")):
        kind, message = await refused(binding.one())
        assert kind == "Error"
        assert f'no entrypoint "{name}"' in message
        assert "Named" in message
        assert await refused(binding.fetch("http://x/"))


async def a_worker_that_is_not_there(env):
    text = 'Worker "nosuch" not found. Make sure it is running locally.'
    assert await refused(env.GONE.anything(), remote=False) == ("Error", text)
    response = await env.GONE.fetch("http://x/")
    assert (response.status, await response.text()) == (503, text)


async def many_at_once(env):
    assert await asyncio.gather(*(env.NAMED.add(n, 1) for n in range(200))) == list(range(1, 201))


# fetch


async def fetching(env):
    response = await env.NAMED.fetch("http://host/path?q", method="PUT", body="body", headers={"a": "b"})
    assert (response.status, response.headers["x-from"]) == (201, "named")
    assert await response.text() == "PUT http://host/path?q body"
    request = Request("https://host/", method="POST", body=b"x" * 3_000_000)
    assert len(await (await env.NAMED.fetch(request)).text()) == 3_000_000 + len("POST https://host/ ")
    assert await (await env.DEFAULT.fetch("http://x/")).text() == "default http://x/"


async def a_body_that_streams(env):
    async def chunks():
        for number in range(20):
            yield b"%d " % number
            await asyncio.sleep(0.001)

    response = await env.NAMED.fetch("http://x/echo", method="POST", body=chunks())
    assert await response.text() == "".join(f"{number} " for number in range(20))
    assert (await (await env.NAMED.fetch("http://x/", method="POST", body=chunks())).text()).endswith(" 18 19 ")


async def a_url_is_absolute(env):
    assert await refused(env.NAMED.fetch("/rel"), remote=False) == ("TypeError", "Invalid URL: /rel")


async def redirects_stay_with_the_binding(env):
    response = await env.NAMED.fetch("http://x/away")
    assert await response.text() == "GET http://x/there "
    response = await env.NAMED.fetch("http://x/away", redirect="manual")
    assert (response.status, response.headers["location"]) == (302, "/there")
    assert (await refused(env.NAMED.fetch("http://x/away", redirect="error"), remote=False))[0] == "TypeError"


async def a_fetch_that_raises(env):
    name, message = await refused(env.NAMED.fetch("http://x/boom"))
    assert (name, message.splitlines()[-1]) == ("PythonError", "ValueError: boom")


async def an_entrypoint_without_fetch(env):
    name, message = await refused(env.BARE.fetch("http://x/"))
    assert name == "Error"
    assert "Handler does not export a fetch() function." in message


# errors


async def errors_have_their_traceback(env):
    name, message = await refused(env.NAMED.boom())
    assert name == "PythonError"
    assert message.startswith("Traceback (most recent call last):\n")
    assert "in boom" in message
    assert message.splitlines()[-1] == "KeyError: 'no such thing'"


async def a_script_that_ends_itself_ends_one_call(env):
    name, message = await refused(env.NAMED.exits())
    assert (name, message.splitlines()[-1]) == ("PythonError", "SystemExit: 3")
    assert await env.NAMED.add(1, 1) == 2


async def a_process_that_is_killed_ends_its_calls(env):
    first = await env.NAMED.pid()
    waiting = asyncio.create_task(refused(env.NAMED.waits()))
    await asyncio.sleep(0)
    kind, message = await refused(env.NAMED.dies())
    assert kind == "Error"
    assert "the worker's process ended" in message
    assert (await waiting)[0] == "Error"
    assert await env.NAMED.pid() != first


# values


async def plain_values(env):
    values = [None, True, "text", 1, 2.5, -(2**53) + 2, [1, [2]], {"a": {"b": None}}, {1, 2}]
    assert await env.NAMED.echo(*values) == values
    assert await env.NAMED.kinds(b"x", {"a": 1}, [1], {1}, 2.0, memoryview(b"x")) == [
        "memoryview", "JsDict", "JsArray", "set", "int", "memoryview",
    ]  # fmt: skip
    [found] = await env.NAMED.echo({"a": {1: "int"}})
    assert found.a["1"] == "int"
    assert type(found).__name__ == "JsDict"
    big, small, back = await env.NAMED.echo(2**53 - 1, 2**53 - 2, 2**70)
    assert (big, small, back) == (2**53 - 1, 2**53 - 2, 2**70)
    assert isinstance(big, JsBigInt)
    assert not isinstance(small, JsBigInt)
    assert isinstance(back, JsBigInt)
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert await env.NAMED.echo(moment) == [moment.astimezone().replace(tzinfo=None, microsecond=678000)]
    [error] = await env.NAMED.echo(ValueError("x"))
    assert type(error) is Exception
    assert str(error) == "Error: Error: x"  # there and back


async def what_cannot_be_sent(env):
    for value in ((1,), bytearray(b"x")):
        for wrapped in (value, [value], {"a": {"b": value}}):
            text = f"<class '{type(value).__name__}'> cannot be sent over RPC."
            await fails(env.NAMED.echo(wrapped), TypeError, text)
    work = asyncio.sleep(0)
    await fails(env.NAMED.echo(work), TypeError, "cannot be sent over RPC.")
    work.close()
    for value in (range(3), Decimal(1), object(), date(2026, 1, 1), frozenset({1}), (x for x in "a")):
        assert await refused(env.NAMED.echo([value]), remote=False) == ("DataCloneError", NO_RECEIVER)
    client, _ = js.WebSocketPair.new().object_values()
    answer = Response(None, status=101, web_socket=client)
    for name, value in (
        ("FormData", FormData()),
        ("WebSocket", client),
        ("WebSocket", [client]),
        ("WebSocket", answer),
    ):
        text = f'Could not serialize object of type "{name}". This type does not support serialization.'
        assert await refused(env.NAMED.echo(value), remote=False) == ("DataCloneError", text)


async def what_cannot_be_returned(env):
    for what in ("tuple", "bytearray"):
        name, message = await refused(env.NAMED.returns(what))
        assert name == "PythonError"
        assert message.endswith(f"TypeError: <class '{what}'> cannot be sent over RPC.")
    for what in ("range", "decimal", "object", "date", "generator"):
        assert await refused(env.NAMED.returns(what)) == ("DataCloneError", NO_RECEIVER)
    assert (await refused(env.NAMED.returns("form")))[0] == "DataCloneError"


async def what_is_too_large(env):
    name, message = await refused(env.NAMED.echo(b"x" * (32 * 1024 * 1024)), remote=False)
    assert name == "Error"
    assert message.startswith("Serialized RPC arguments or return values are limited to 32MiB")
    [back] = await env.NAMED.echo(b"x" * (31 * 1024 * 1024))
    assert len(back) == 31 * 1024 * 1024


# limits


async def a_cycle_has_an_end(env):
    assert await env.SELF.down(20) == 20
    name, message = await refused(env.SELF.down(40))
    assert name == "PythonError"
    assert "Subrequest depth limit exceeded." in message


async def a_cycle_of_callbacks_has_an_end(env):
    async def again(n):
        return await env.NAMED.bounce(again, n + 1)

    _name, message = await refused(again(0))
    assert "Subrequest depth limit exceeded." in message


async def a_cycle_of_tasks_has_an_end(env):
    await env.SELF.down_later(1)
    async with asyncio.timeout(20):
        while await env.SELF.deepest() < 31:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert await env.SELF.deepest() == 32


# with what the client sent


async def request_is_passed_on(env, ctx, request):
    return await env.NAMED.fetch(request)


async def request_for_a_socket(env, ctx, request):
    return await env.NAMED.fetch("http://x/socket", headers=request.headers)


async def request_exports(env, ctx, request):
    assert await ctx.exports.Loop.twice(2) == 4
    assert await ctx.exports.Loop(props={"p": 1}).props() == {"p": 1}
    assert await (await ctx.exports.default.fetch("http://x/hello")).text() == "held\n"
    assert "default" in ctx.exports
    assert "Loop" in ctx.exports
    assert sorted(ctx.exports.keys()) == ["Loop", "default"]
    assert getattr(ctx.exports, "Nope", None) is None


class Loop(WorkerEntrypoint):
    async def twice(self, x):
        return 2 * x

    async def props(self):
        return dict(self.ctx.props)


async def hello(env):
    pass
