"""Cases of what ``run`` is handed and of its steps."""

import asyncio
import time
from datetime import datetime, timedelta
from itertools import pairwise

from noting import FAST, NEVER, caught, note, ran
from pyodide.ffi import JsException
from workers.workflows import NonRetryableError


async def event_is(event, step, env):
    return [type(event).__name__, sorted(event), type(event.timestamp).__name__, event.timestamp.tzinfo,
            abs(event.timestamp - datetime.now()) < timedelta(minutes=1), event.payload, event.instanceId]  # fmt: skip


async def names(event, step, env):
    @step.do()
    async def first():
        return 1

    @step.do("second step")
    async def other():
        return 2

    return [await first(), await other()]


async def dependencies(event, step, env):
    @step.do("a")
    async def not_a():
        note("a")
        return {"n": 1}

    @step.do("b")
    def b(a, ctx):
        note("b")
        return [a.n + 1, ctx.step.name, ctx.step.count, ctx.attempt]

    @step.do("c")
    async def c(b, a):
        note("c")
        return [b[0], a["n"]]

    ran.clear()
    return [await c(), list(ran), await b(), list(ran)]


async def concurrently(event, step, env):
    waiting = asyncio.Event()

    @step.do("left")
    async def left():
        await asyncio.wait_for(waiting.wait(), 30)
        return "l"

    @step.do("right")
    async def right():
        waiting.set()
        return "r"

    @step.do("both", concurrent=True)
    async def both(left, right):
        return left + right

    return await both()


async def shared(event, step, env):
    """Two that need the same one, at the same time: it runs once."""

    @step.do("base")
    async def base():
        note("base")
        await asyncio.sleep(0.05)
        return 1

    @step.do("x")
    async def x(base):
        return base

    @step.do("y")
    async def y(base):
        return base + 1

    ran.clear()
    return [*await asyncio.gather(x(), y()), list(ran)]


async def unexpected(event, step, env):
    @step.do("s")
    async def s(zz):
        return 1

    return await caught(s())


async def cycle(event, step, env):
    @step.do("a")
    async def a(b):
        return 1

    @step.do("b")
    async def b(a):
        return 1

    return await caught(a())


async def older(event, step, env):
    @step.do("one")
    async def one():
        return 1

    @step.do("two", depends=[one])
    async def two(anything):
        return anything + 1

    @step.do("three", depends=[one, two], concurrent=True)
    async def three(p, q, ctx):
        return [p, q, ctx.step.name]

    @step.do("four", depends=[one])
    async def four(p, q, r):
        return 1

    return [await three(), (await caught(four()))[0]]


async def again(event, step, env):
    counts = []

    @step.do("s")
    async def s(ctx):
        counts.append(ctx.step.count)
        return len(counts)

    @step.do("d")
    async def d(s):
        return s

    found = [await s(), await s(), await d()]

    @step.do("s")
    async def same_name(ctx):
        return ctx.step.count

    return [*found, await same_name(), counts]


async def context(event, step, env):
    @step.do("plain")
    async def plain(ctx):
        return ctx

    @step.do("given", config={"retries": {"limit": 1, "delay": "1 second", "backoff": "linear"}, "timeout": 5000})
    async def given(ctx):
        return ctx

    return [await plain(), await given()]


async def values(event, step, env):
    at = datetime(2026, 1, 2, 3, 4, 5, 678000)

    @step.do("s")
    async def s():
        return {"at": at, "bytes": b"x", "none": None, "set": {1}, "big": 2**60, "float": 1.0}

    found = await s()
    return [found.at == at, type(found["bytes"]).__name__, found.none, found.set == {1}, found.big, repr(found.float)]


async def tuples(event, step, env):
    @step.do("s", config=FAST)
    async def s():
        note("tuple")
        return (1, 2)

    ran.clear()
    return [*await caught(s()), list(ran)]


async def opaque(event, step, env):
    @step.do("s", config=NEVER)
    async def s():
        return object()

    return (await caught(s()))[1]


async def large(event, step, env):
    @step.do("s", config=FAST)
    async def s():
        note("large")
        return "x" * 1024 * 1024

    ran.clear()
    return [*await caught(s()), list(ran)]


async def retried(event, step, env):
    attempts = []

    @step.do("s", config={"retries": {"limit": 3, "delay": 20, "backoff": event.payload["backoff"]}})
    async def s(ctx):
        attempts.append([ctx.attempt, time.monotonic()])
        if ctx.attempt < 4:
            raise ValueError("not yet")
        return "at last"

    found, times = await s(), [at for _, at in attempts]
    pauses = [(later - earlier) * 1000 for earlier, later in pairwise(times)]
    return [found, [number for number, _ in attempts], pauses]


async def failures(event, step, env):
    def failing(name, error):
        @step.do(name, config=FAST)
        async def s():
            note(name)
            raise error

        return s

    ran.clear()
    found = [await caught(failing("v", ValueError("always"))()), await caught(failing("t", TypeError("always"))())]
    found.append(await caught(failing("n", NonRetryableError("no more"))()))
    try:
        await failing("k", KeyError("gone"))()
    except JsException as error:
        found.append([error.name, "KeyError: 'gone'" in error.message, "Traceback" in error.message])
    try:
        await failing("v2", ValueError("why"))()
    except ValueError as error:
        found.append([type(error.__cause__).__name__, error.__cause__.name])
    return [*found, list(ran)]


async def caught_and_on(event, step, env):
    @step.do("s", config=NEVER)
    async def s():
        note("failed once")
        raise ValueError("x")

    await caught(s())
    await step.sleep("nap", 1)
    return "went on"


async def timeout(event, step, env):
    @step.do("slow", config={**NEVER, "timeout": 100})
    async def slow():
        await asyncio.sleep(60)

    @step.do("deaf", config={**NEVER, "timeout": 100})
    async def deaf():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                note("deaf")

    @step.do("blocking", config={**NEVER, "timeout": 100})
    def blocking():
        time.sleep(1)

    return [await caught(slow()), await caught(deaf()), await caught(blocking())]


async def exits(event, step, env):
    @step.do("s", config=NEVER)
    async def s():
        raise SystemExit(3)

    return (await caught(s()))[0]


async def bad_config(event, step, env):
    def with_config(config):
        @step.do("slow", config=config)
        async def s():
            return 1

        return s

    bad = [
        {"retries": {"limit": 1}}, {"retries": {"delay": 1}}, {"timeout": 0}, {"unknown": 1}, {"timeout": "5 foos x"},
        {"retries": {"limit": 1, "delay": 1, "backoff": "odd"}},
    ]  # fmt: skip
    return [await caught(with_config(config)()) for config in bad]


async def bad_names(event, step, env):
    def named(name):
        @step.do(name)
        async def s():
            return 1

        return s

    return [await caught(named(name)()) for name in ("x" * 257, "a\nb", "x" * 256)]


async def too_many(event, step, env):
    @step.do("s")
    async def s():
        return 1

    for _ in range(20):
        await step.sleep("no step of the limit's", 0)
    for _ in range(5):
        await s()
    return await caught(s())


async def sleeping(event, step, env):
    began = time.monotonic()
    await step.sleep("a", 100)
    slept = time.monotonic() - began
    await step.sleep("b", "0 seconds")
    await step.sleep("c", "5 fortnights")
    await step.sleep_until("d", datetime.now() + timedelta(milliseconds=50))
    await step.sleep_until("e", (datetime.now() + timedelta(milliseconds=50)).isoformat())
    past = await caught(step.sleep_until("f", datetime.now() - timedelta(seconds=5)))
    return [slept >= 0.1, past, (await caught(step.sleep("g", "2 years")))[0]]


async def waits(event, step, env):
    found = await step.wait_for_event("w", "go", timeout="1 hour")
    return [type(found).__name__, found, type(found.timestamp).__name__]


async def waits_twice(event, step, env):
    both = await asyncio.gather(step.wait_for_event("a", "go"), step.wait_for_event("b", "go"))
    return sorted(found.payload for found in both)


async def waits_in_vain(event, step, env):
    return await caught(step.wait_for_event("w", "never", timeout=1000))


async def raises(event, step, env):
    raise RuntimeError("uncaught")


async def raises_from_step(event, step, env):
    @step.do("s", config=NEVER)
    async def s():
        raise NonRetryableError("no more")

    await s()


async def returns_tuple(event, step, env):
    return (1,)
