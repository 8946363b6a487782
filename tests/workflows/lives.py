"""Cases that are driven from outside while they go on."""

import time

from noting import note, until
from pyodide.ffi import JsException


async def held(event, step, env):
    """A step that takes until a file is there, between two others."""

    @step.do("before")
    async def before():
        note(f"{event.instanceId} before")

    @step.do("held")
    async def held():
        note(f"{event.instanceId} held")
        await until("go", event.instanceId)
        return "held"

    @step.do("after")
    async def after():
        note(f"{event.instanceId} after")
        return "done"

    await before()
    try:
        await held()
        return await after()
    except JsException as error:
        note(f"{event.instanceId} {error}")
        raise


async def napping(event, step, env):
    @step.do("before")
    async def before():
        note(f"{event.instanceId} before")

    await before()
    try:
        await step.sleep("nap", event.payload["ms"])
    except JsException as error:
        note(f"{event.instanceId} {error}")
        raise
    return "rested"


async def many(event, step, env):
    """Numbered steps, each of which says that it ran before it has a result."""

    @step.do("s")
    async def s(ctx):
        note(f"{event.instanceId} {ctx.step.count}")
        return ctx.step.count

    found = []
    for at in range(event.payload["steps"]):
        found.append(await s())
        if at == event.payload.get("nap"):
            await step.sleep("nap", 50)
    return sum(found)


async def timed(event, step, env):
    """ms of each of so many steps."""

    @step.do("s")
    async def s():
        return 1

    times = []
    for _ in range(event.payload["steps"]):
        began = time.perf_counter()
        await s()
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


async def subrequests(event, step, env):
    @step.do("s")
    async def s():
        return 1

    for _ in range(event.payload["steps"]):
        await s()
    return await env.WF.get(event.instanceId) is not None
