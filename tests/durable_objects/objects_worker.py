"""The worker of test_objects.py: each function is a case, with its assertions inside, where a user's code is.

One called ``inside_NAME`` runs in an object of that name: ``self.ctx`` is its state.
"""

import asyncio
import os
import time
from inspect import signature

from storage_cases import *  # noqa: F403
from storage_cases import JsException, raises, refused

from workers import URL, DurableObject, Response, WorkerEntrypoint


class Thing(DurableObject):
    constant = 5

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.seen, self.log = 0, []

    async def run(self, case, *args):
        answer = await globals()[f"inside_{case}"](self, *args)
        return "held" if answer is None else answer

    async def fetch(self, request):
        if URL(request.url).pathname == "/stream":
            return Response(parts())
        text = await request.text()
        return Response(f"{request.method} {request.url} {request.headers.get('x-a')} {text}", status=201)

    def count(self, by=1):
        self.seen += by
        return self.seen

    def echo(self, value):
        return value

    def types(self, value):
        return type(value).__name__

    async def counter(self, hear):
        await hear("counting")

        async def count(by):
            value = (await self.ctx.storage.get("kept") or 0) + by
            await self.ctx.storage.put("kept", value)
            await hear(f"{value}")
            return value

        return count

    def fails(self):
        raise ValueError("broken here")

    def _hidden(self):
        return "hidden"

    async def alarm(self, info=None):
        self.log.append({"info": info, "set": await self.ctx.storage.getAlarm(), "at": time.time()})
        if self.ctx.id.name == "alarm fails once" and not info.isRetry:
            raise ValueError("not yet")
        if self.ctx.id.name == "alarm sets another" and len(self.log) == 1:
            await self.ctx.storage.setAlarm(time.time() * 1000 + 50)


class Other(DurableObject):
    async def named(self):
        return [self.ctx.id.name, self.ctx.id.toString()]


class Unbound(DurableObject):
    """Named by a migration, and by no binding."""

    async def named(self):
        return self.ctx.id.name

    async def fetch(self, request):
        return Response("fetched")


class Closed(DurableObject):
    def __init__(self, ctx, env):
        raise RuntimeError("no entry")

    def knock(self):
        pass


async def parts():
    for number in range(3):
        yield f"part {number}\n"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = URL(request.url).pathname.strip("/")
        if name.startswith("inside_"):
            answer = await self.env.THINGS.getByName(name).run(name.removeprefix("inside_"))
        else:
            answer = await globals()[name](*(self.ctx, self.env)[-len(signature(globals()[name]).parameters) :])
        return answer if isinstance(answer, Response) else Response("held\n")


async def eventually(ask, wanted, within=20.0):
    until = time.monotonic() + within
    while True:
        found = await ask()
        if wanted(found):
            return found
        assert time.monotonic() < until, found
        await asyncio.sleep(0.02)


async def classes_are_exports(ctx, env):
    assert ctx.exports.Thing.idFromName("a") == env.THINGS.idFromName("a")
    stub = ctx.exports.Unbound.getByName("one")
    assert await stub.named() == "one"
    assert await (await stub.fetch("http://x/")).text() == "fetched"
    assert {"Thing", "Other", "Closed", "Unbound", "default"} == set(ctx.exports.keys())
    assert "exports.Thing" not in env


async def inside_exports(self):
    assert await self.ctx.exports.Unbound.getByName("two").named() == "two"
    assert self.ctx.exports["Unbound"].idFromName("two").name == "two"


# Ids


async def ids_of_names(env):
    one, same, other = env.THINGS.idFromName("a"), env.THINGS.idFromName("a"), env.THINGS.idFromName("b")
    assert one.equals(same)
    assert not one.equals(other)
    assert one.name == "a"
    text = one.toString()
    assert (len(text), text) == (64, f"{int(text, 16):064x}")
    assert env.THINGS.idFromName("").name == ""
    assert env.THINGS.idFromName(5).name == "5"
    assert env.OTHERS.idFromName("a").toString() != text


async def ids_that_are_unique(env):
    one, other = env.THINGS.newUniqueId(), env.THINGS.newUniqueId()
    assert not one.equals(other)
    assert one.name is None
    with raises(JsException, "Error: Jurisdiction restrictions are not implemented in workerd."):
        env.THINGS.newUniqueId(jurisdiction="eu")
    with raises(JsException, "Jurisdiction restrictions are not implemented"):
        env.THINGS.jurisdiction("eu")


async def ids_of_strings(env):
    id = env.THINGS.idFromName("a")
    again = env.THINGS.idFromString(id.toString())
    assert again.equals(id)
    assert again.name is None
    with raises(JsException, "TypeError: Invalid Durable Object ID: must be 64 hex digits"):
        env.THINGS.idFromString("nope")
    with raises(JsException, "TypeError: Durable Object ID is not valid for this namespace."):
        env.OTHERS.idFromString(id.toString())
    with raises(JsException, "is not valid for this namespace"):
        env.THINGS.idFromString("0" * 64)


async def stubs_know_their_object(env):
    stub = env.OTHERS.get(env.OTHERS.idFromName("x"), {"locationHint": "weur"})
    assert (stub.name, stub.id.toString()) == ("x", env.OTHERS.idFromName("x").toString())
    assert await stub.named() == ["x", stub.id.toString()]
    unnamed = env.OTHERS.idFromString(env.OTHERS.idFromName("unnamed").toString())
    assert await env.OTHERS.get(unnamed).named() == [None, unnamed.toString()]
    assert (await env.OTHERS.get(env.OTHERS.newUniqueId()).named())[0] is None
    with raises(JsException, "parameter 1 is not of type 'DurableObjectId'"):
        env.OTHERS.get("x")


# Calls


async def fetch_reaches_the_object(env):
    stub = env.THINGS.getByName("fetched")
    answer = await stub.fetch("http://do/a?b=c", method="POST", headers={"x-a": "1"}, body="hello")
    assert (answer.status, await answer.text()) == (201, "POST http://do/a?b=c 1 hello")
    large = "x" * 3_000_000
    assert (await (await stub.fetch("http://do/", method="PUT", body=large)).text()).endswith(large)
    assert (await refused(stub.fetch("/rel"))).message == "Invalid URL: /rel"


async def a_stream_passes_through(env):
    return await env.THINGS.getByName("streams").fetch("http://do/stream")


async def methods_are_called(env):
    stub = env.THINGS.getByName("called")
    assert [await stub.count(), await stub.count(5)] == [1, 6]
    assert await stub._hidden() == "hidden"


async def values_cross(env):
    stub = env.THINGS.getByName("values")
    for value in (None, True, 5, 1.5, "é", [1, [None]], {"a": {"b": 1}}, {1, 2}, 2**60):
        assert await stub.echo(value) == value, value
    assert bytes(await stub.echo(b"ab")) == b"ab"
    assert await stub.types(b"ab") == "memoryview"
    assert await stub.types({"a": 1}) == "JsDict"
    with raises(TypeError, "<class 'tuple'> cannot be sent over RPC."):
        await stub.echo((1, 2))


async def functions_cross(env):
    stub = env.THINGS.getByName("functions")
    heard = []

    async def hear(text):
        heard.append(text)
        return len(heard)

    counter = await stub.counter(hear)
    assert [await counter(2), await counter(3)] == [2, 5]
    assert heard == ["counting", "2", "5"]
    assert await stub.run("kept") == 5


async def failures_cross(env):
    stub = env.THINGS.getByName("failing")
    error = await refused(stub.fails())
    assert (error.name, error.remote) == ("PythonError", True)
    assert error.message.startswith("Traceback")
    assert error.message.endswith("ValueError: broken here")
    assert not hasattr(error, "durableObjectReset")
    await stub.count()
    assert await stub.count() == 2  # an exception does not reset it


async def what_is_no_method(env):
    stub = env.THINGS.getByName("called")
    for name in ("nope", "constant", "ctx"):
        error = await refused(getattr(stub, name)())
        assert (error.name, error.message) == ("TypeError", f"Method {name} does not exist")
    for name in ("alarm", "webSocketMessage", "connect"):
        text = f"'{name}' is a reserved method and cannot be called over RPC."
        assert (await refused(getattr(stub, name)())).message == text


async def a_constructor_that_raises(env):
    stub = env.CLOSED.getByName("x")
    assert (await refused(stub.knock())).message.endswith("RuntimeError: no entry")


# Concurrency


async def reads_let_nobody_in(env):
    """get → put without another await in between is atomic against other events."""
    stub = env.THINGS.getByName("atomic")
    await asyncio.gather(*[stub.run("increment") for _ in range(50)])
    assert await stub.run("value") == 50


async def inside_increment(self):
    value = await self.ctx.storage.get("value") or 0
    await self.ctx.storage.put("value", value + 1)


async def inside_value(self):
    return await self.ctx.storage.get("value")


async def other_awaits_let_others_in(env):
    stub = env.THINGS.getByName("interleaved")
    await asyncio.gather(*[stub.run("slow_step", name) for name in "ab"])
    assert sorted((await stub.run("log"))[:2]) == ["a begins", "b begins"]


async def inside_slow_step(self, name):
    self.log.append(f"{name} begins")
    await asyncio.sleep(0.2)
    self.log.append(f"{name} ends")


async def inside_log(self):
    return self.log


async def block_concurrency(env):
    stub = env.THINGS.getByName("blocked")
    first = asyncio.ensure_future(stub.run("blocks"))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(stub.run("slow_step", "b"))
    assert await first == "result"
    await second
    assert await stub.run("log") == ["block begins", "block ends", "b begins", "b ends"]


async def inside_blocks(self):
    async def work():
        self.log.append("block begins")
        await asyncio.sleep(0.2)
        await self.ctx.storage.put("a", 1)
        self.log.append("block ends")
        return "result"

    return await self.ctx.blockConcurrencyWhile(work)


async def a_block_that_raises_resets(env):
    stub = env.THINGS.getByName("block fails")
    assert await stub.count() == 1
    error = await refused(stub.run("block_fails"))
    assert error.durableObjectReset is True
    assert error.message.endswith("ValueError: in the block")
    assert (await refused(stub.count())).message == error.message  # the stub is dead
    assert await env.THINGS.getByName("block fails").count() == 1


async def inside_block_fails(self):
    async def work():
        raise ValueError("in the block")

    await self.ctx.blockConcurrencyWhile(work)


async def abort_resets(env):
    stub = env.THINGS.getByName("aborted")
    await stub.run("keep", "kept")
    waiting = asyncio.ensure_future(stub.run("waits"))
    await eventually(lambda: stub.run("log"), lambda log: log == ["waits"])
    error = await refused(env.THINGS.getByName("aborted").run("aborts"))
    assert (error.name, error.message, error.durableObjectReset) == ("Error", "for a reason", True)
    assert (await refused(waiting)).message == "for a reason"
    assert (await refused(stub.count())).message == "for a reason"
    again = env.THINGS.getByName("aborted")
    assert await again.run("log") == []
    assert await again.run("kept") == "kept"


async def inside_keep(self, value):
    await self.ctx.storage.put("kept", value)


async def inside_kept(self):
    return await self.ctx.storage.get("kept")


async def inside_waits(self):
    self.log.append("waits")
    await asyncio.sleep(60)


async def inside_aborts(self):
    await self.ctx.storage.put("kept", "lost")
    try:
        self.ctx.abort("for a reason")
    except Exception:
        return "it was caught"


async def many_objects_are_in_one_process(env):
    async def one(number):
        stub = env.THINGS.getByName(f"many {number}")
        await stub.run("keep", number)
        assert await stub.run("kept") == number
        return await stub.run("process")

    assert len(set(await asyncio.gather(*map(one, range(200))))) == 1


async def inside_process(self):
    return os.getpid()


async def objects_call_each_other(env):
    assert await env.THINGS.getByName("caller").run("calls", "callee") == 7


async def inside_calls(self, name):
    await self.ctx.storage.put("called", name)
    return await self.env.THINGS.getByName(name).count(7)


async def inside_wait_until(self):
    async def later():
        await asyncio.sleep(0.05)
        await self.ctx.storage.put("later", 1)

    self.ctx.waitUntil(later())


async def wait_until_goes_on(env):
    stub = env.THINGS.getByName("waits until")
    await stub.run("wait_until")
    await eventually(lambda: stub.run("later"), lambda found: found == 1)


async def inside_later(self):
    return await self.ctx.storage.get("later") or 0


# Alarms


async def an_alarm_rings(env):
    stub = env.THINGS.getByName("alarm")
    assert await stub.run("alarm_set", 100) is not None
    [rang] = await eventually(lambda: stub.run("log"), lambda log: log)
    assert rang.info == {"retryCount": 0, "isRetry": False, "scheduledTime": await stub.run("kept")}
    assert rang.set is None  # while the handler runs
    assert await stub.run("alarm_is") == "none"


async def inside_alarm_set(self, ms):
    when = int(time.time() * 1000) + ms
    await self.ctx.storage.put("kept", when)
    await self.ctx.storage.setAlarm(when)
    assert await self.ctx.storage.getAlarm() == when
    return when


async def inside_alarm_is(self):
    return await self.ctx.storage.getAlarm() or "none"


async def an_alarm_in_the_past_rings_at_once(env):
    stub = env.THINGS.getByName("alarm past")
    await stub.run("alarm_set", -60_000)
    await eventually(lambda: stub.run("log"), lambda log: log)


async def an_alarm_is_taken_back(env):
    stub = env.THINGS.getByName("alarm taken back")
    await stub.run("alarm_set", 300)
    await stub.run("alarm_deleted")
    await asyncio.sleep(0.6)
    assert await stub.run("log") == []


async def inside_alarm_deleted(self):
    await self.ctx.storage.deleteAlarm()
    assert await self.ctx.storage.getAlarm() is None


async def an_alarm_sets_another(env):
    stub = env.THINGS.getByName("alarm sets another")
    await stub.run("alarm_set", 0)
    await eventually(lambda: stub.run("log"), lambda log: len(log) == 2)
    assert await stub.run("alarm_is") == "none"


async def an_alarm_that_fails_is_tried_again(env):
    stub = env.THINGS.getByName("alarm fails once")
    when = await stub.run("alarm_set", 0)
    await eventually(lambda: stub.run("log"), lambda log: len(log) == 1)
    assert await stub.run("alarm_is") == when  # between two tries
    first, second = await eventually(lambda: stub.run("log"), lambda log: len(log) == 2)
    assert second.info == {"retryCount": 1, "isRetry": True, "scheduledTime": when}
    assert second["at"] - first["at"] > 1.9
    assert await stub.run("alarm_is") == "none"
