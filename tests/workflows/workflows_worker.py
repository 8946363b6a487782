"""The worker of these tests: workflows whose parameters name a case, and routes that drive their instances."""

import asyncio
import os

import cases
import lives
from noting import note, until
from pyodide.ffi import JsException

from workers import URL, Response, WorkflowEntrypoint


class Cases(WorkflowEntrypoint):
    async def run(self, event, step):
        name = event.payload["case"]
        return await (getattr(cases, name, None) or getattr(lives, name))(event, step, self.env)


class Other(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("hold")
        async def hold():
            note(f"{event.instanceId} begun")
            await until("hold", event.instanceId)

        await hold()
        return event.workflowName


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


async def ended(instance):
    while (status := await instance.status()).status in ("queued", "running"):
        await asyncio.sleep(0.01)
    return status


async def create(env, asked):
    return (await env[asked.get("binding", "WF")].create(**asked.get("options", {}))).id


async def case(env, asked):
    instance = await env.WF.create(params={"case": asked["case"], **asked.get("params", {})})
    return await ended(instance)


async def end_of(env, asked):
    return await ended(await env[asked.get("binding", "WF")].get(asked["id"]))


async def on_instance(env, asked):
    instance = await env[asked.get("binding", "WF")].get(asked["id"])
    return await getattr(instance, asked["method"])(*asked.get("args", []), **asked.get("options", {}))


async def on_binding(env, asked):
    found = await getattr(env.WF, asked["method"])(*asked.get("args", []), **asked.get("options", {}))
    return [instance.id for instance in found] if isinstance(found, list) else found.id


async def attributes(env, asked):
    instance = await env.WF.create(params={"case": "names"})
    status = await ended(instance)
    return [type(status).__name__, sorted(status), status.__LOCAL_DEV_STEP_OUTPUTS, type(instance.id).__name__]


async def where(env, asked):
    return os.getpid()


async def fetch(request, env, ctx):
    body = await request.json()
    try:
        found = await globals()[URL(request.url).pathname.strip("/")](env, body)
        return Response.json({"result": plain(found)})
    except JsException as error:
        return Response.json({"error": [error.name, error.message]})
    except Exception as error:
        return Response.json({"error": [type(error).__name__, str(error)]})
