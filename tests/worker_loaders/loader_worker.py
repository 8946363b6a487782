"""The worker of test_loader.py: each function is a case, with its assertions inside, where a user's code is."""

import asyncio
import json
import os
import time

from pyodide.ffi import JsException, create_proxy

from workers import URL, DurableObject, Request, Response, WorkerEntrypoint

DATE = "2026-11-01"
HELLO = """
import asyncio, os, sys
from workers import Response, WorkerEntrypoint, fetch

print("loaded", flush=True)
calls = 0

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global calls
        calls += 1
        return Response(f"{request.method} {request.url} {await request.text()} {calls} {os.getpid()}")

    async def add(self, a, b):
        return a + b

    async def given(self):
        return {name: getattr(self.env, name) for name in self.env.keys() if not callable(getattr(self.env, name))}

    async def asks(self, url):
        return await (await fetch(url)).text()

    async def raises(self):
        raise ValueError("its own")

    async def streams(self, request):
        async def parts():
            for number in range(3):
                yield f"part {number} "
        return Response(parts())

    async def pid(self):
        return os.getpid()

    async def sleeps(self, seconds):
        await asyncio.sleep(seconds)

    async def calls_back(self, function):
        return await function(20) + 1

class Named(WorkerEntrypoint):
    async def props(self):
        return self.ctx.props

    async def greeting(self):
        return await self.env.GREETER.greet("you")

    async def nested(self):
        return await self.env.DEEP.list[0].greet("deep")
"""


def code(source=HELLO, **more):
    return {"compatibilityDate": DATE, "mainModule": "main.py", "modules": {"main.py": source}, **more}


async def refused(call, kind, text):
    try:
        found = call() if callable(call) else call
        if hasattr(found, "__await__"):
            found = await found
    except JsException as error:
        caught = error
    else:
        raise AssertionError(f"it was not refused: {found!r}")
    assert caught.name == kind, (caught.name, caught.message)
    assert text in caught.message, caught.message
    return caught.message


class Greeter(WorkerEntrypoint):
    async def greet(self, who):
        return f"hello {who} from {self.ctx.props.get('name', 'nobody')}"


class Gateway(WorkerEntrypoint):
    """The network of a Dynamic Worker."""

    async def fetch(self, request):
        if URL(request.url).pathname == "/moved":
            return Response("", status=302, headers={"location": "http://elsewhere.test/there"})
        return Response(f"gateway {self.ctx.props.get('tenant')} {request.method} {request.url}")


TOLD = []


class LogTailer(WorkerEntrypoint):
    async def tail(self, events):
        TOLD.append([self.ctx.props.name, [dict(one) for one in events]])


class Runner(DurableObject):
    async def run(self, source):
        self.ctx.storage.kv.put("ran", True)
        return await self.env.LOADER.load(code(source)).getEntrypoint().add(1, 2)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = URL(request.url).pathname.strip("/")
        answer = await globals()[name](self.env, self.ctx, request)
        return answer if isinstance(answer, Response) else Response("held\n" if answer is None else str(answer))


async def entrypoints_are_fetched_and_called(env, ctx, request):
    worker = env.LOADER.get("hello", lambda: code())
    entry = worker.getEntrypoint()
    answer = await (await entry.fetch("http://x/path?q=1", method="POST", body="body")).text()
    assert answer.startswith("POST http://x/path?q=1 body 1 "), answer
    assert await entry.add(1, 2) == 3
    assert await worker.getEntrypoint("Named", {"props": {"p": [1, None]}}).props() == {"p": [1, None]}
    assert await worker.getEntrypoint("Named", props={"p": 2}).props() == {"p": 2}
    assert await worker.getEntrypoint("default").add(a := 3, a) == 6
    assert await (await entry.streams(None)).text() == "part 0 part 1 part 2 "
    seen = []
    assert await entry.calls_back(lambda number: seen.append(number) or number * 2) == 41
    assert seen == [20]


async def one_process_per_id(env, ctx, request):
    asked = []

    async def source():
        asked.append(1)
        await asyncio.sleep(0)
        return code()

    proxy = create_proxy(source)
    one = [env.LOADER.get("same", proxy).getEntrypoint().pid() for _ in range(5)]
    pids = set(await asyncio.gather(*one))
    assert len(pids) == 1, pids
    before = len(asked)
    assert await env.LOADER.get("same", proxy).getEntrypoint().pid() in pids
    assert len(asked) == before  # what is there is not asked for again
    assert await env.LOADER.get("other", source).getEntrypoint().pid() not in pids
    first, second = (env.LOADER.load(code()).getEntrypoint() for _ in range(2))
    assert len({await first.pid(), await second.pid(), await first.pid(), *pids, os.getpid()}) == 4
    nameless = {await env.LOADER.get(None, source).getEntrypoint().pid() for _ in range(2)}
    assert len(nameless) == 2


async def modules_are_files(env, ctx, request):
    source = """
from pathlib import Path
import helper
from package.inner import NAME
import vendored
from workers import WorkerEntrypoint
HERE = Path(__file__).parent
class Default(WorkerEntrypoint):
    def all(self):
        texts = [(HERE / name).read_text() for name in ("a.txt", "a.json")]
        return [helper.NAME, NAME, vendored.NAME, *texts, list((HERE / "a.bin").read_bytes())]
"""
    modules = {
        "main": {"py": source},
        "helper.py": "NAME = 'helper'",
        "package/__init__.py": "",
        "package/inner.py": {"py": "NAME = 'inner'"},
        "a.txt": {"text": "text é"},
        "a.json": {"json": {"a": [1]}},
        "a.bin": {"data": b"\x00\xff"},
        "python_modules/vendored/__init__.py": "NAME = 'vendored'",
        "python_modules/vendored-1.dist-info/METADATA": "Name: vendored",
    }
    modules["main.py"] = modules.pop("main")
    found = await env.LOADER.load(code(modules=modules)).getEntrypoint().all()
    assert found == ["helper", "inner", "vendored", "text é", '{"a": [1]}', [0, 255]], found


async def env_is_given(env, ctx, request):
    given = {
        "TEXT": "t",
        "NUMBER": 1.5,
        "OBJECT": {"a": [True, None]},
        "BYTES": b"b",
        "GREETER": ctx.exports.Greeter(props={"name": "ann"}),
        "DEEP": {"list": [ctx.exports.Greeter]},
    }
    worker = env.LOADER.load(code(env=given))
    assert await worker.getEntrypoint("Named").greeting() == "hello you from ann"
    assert await worker.getEntrypoint("Named").nested() == "hello deep from nobody"
    source = """
from workers import WorkerEntrypoint
class Default(WorkerEntrypoint):
    async def seen(self):
        env = self.env
        secret = sorted(name for name in env.keys())
        return [secret, env.TEXT, env.NUMBER, env.OBJECT, bytes(env.BYTES).decode(), hasattr(env, "LOADER")]
"""
    found = await env.LOADER.load(code(source, env=given)).getEntrypoint().seen()
    names = ["BYTES", "DEEP", "GREETER", "NUMBER", "OBJECT", "TEXT"]
    assert found == [names, "t", 1.5, {"a": [True, None]}, "b", False], found
    await refused(lambda: env.LOADER.load(code(env={"KV": env.KV})), "DataCloneError", "ctx.exports.Name")


async def outbound_is_blocked(env, ctx, request):
    entry = env.LOADER.load(code(globalOutbound=None)).getEntrypoint()
    await refused(entry.asks("http://127.0.0.1:1/"), "PythonError", "this worker reaches no network")


async def outbound_is_inherited(env, ctx, request):
    url = request.url.replace("outbound_is_inherited", "answers")
    assert await env.LOADER.load(code()).getEntrypoint().asks(url) == "answered"


async def answers(env, ctx, request):
    return Response("answered")


async def outbound_goes_through_a_gateway(env, ctx, request):
    gateway = ctx.exports.Gateway(props={"tenant": "t1"})
    entry = env.LOADER.get("gated", lambda: code(globalOutbound=gateway)).getEntrypoint()
    assert await entry.asks("https://example.test/a") == "gateway t1 GET https://example.test/a"
    assert await entry.asks("https://example.test/moved") == "gateway t1 GET http://elsewhere.test/there"


async def tails_are_told(env, ctx, request):
    source = """
from workers import Response, WorkerEntrypoint
class Default(WorkerEntrypoint):
    async def fetch(self, request):
        print("said while fetched")
        return Response("ok", status=201)
    async def fails(self):
        print("said before it failed")
        raise ValueError("failed")
"""
    tailer = ctx.exports.LogTailer(props={"name": "alice"})
    entry = env.LOADER.load(code(source, tails=[tailer])).getEntrypoint()
    TOLD.clear()
    await entry.fetch("http://x/told")
    await refused(entry.fails(), "PythonError", "ValueError: failed")
    until = time.monotonic() + 20
    while len(TOLD) < 2 and time.monotonic() < until:
        await asyncio.sleep(0.02)
    (who, [first]), (_, [second]) = sorted(TOLD, key=lambda one: one[1][0]["outcome"], reverse=True)
    assert who == "alice"
    assert (first["outcome"], first["event"]["request"]["url"]) == ("ok", "http://x/told"), first
    assert first["event"]["response"]["status"] == 201
    assert (second["outcome"], second["event"]["rpcMethod"]) == ("exception", "fails"), second
    said = [line["message"][0] for one in (first, second) for line in one["logs"]]
    assert said == ["said while fetched", "said before it failed"], said


async def limits_are_kept(env, ctx, request):
    burns = """
from workers import WorkerEntrypoint
class Default(WorkerEntrypoint):
    async def burns(self):
        while True:
            pass
    async def asks(self):
        for _ in range(5):
            await self.env.GREETER.greet("x")
        return "asked"
"""
    given = {"GREETER": ctx.exports.Greeter}
    worker = env.LOADER.load(code(burns, limits={"cpuMs": 200}, env=given))
    message = await refused(worker.getEntrypoint().burns(), "Error", "200 ms of CPU time")
    assert "cpu_ms" in message
    await refused(worker.getEntrypoint(limits={"cpuMs": 100}).burns(), "Error", "100 ms of CPU time")
    await refused(worker.getEntrypoint(limits={"cpuMs": 10_000, "subRequests": 3}).asks(), "PythonError", "more than 3")
    assert await worker.getEntrypoint().asks() == "asked"


async def errors_read_well(env, ctx, request):
    load = env.LOADER.load
    await refused(lambda: load(code(modules={})), "TypeError", "at least one module")
    await refused(lambda: load({**code(), "compatibilityDate": None}), "TypeError", "compatibilityDate is missing")
    await refused(lambda: load(code(mainModule="other.py")), "TypeError", "none of the modules: main.py")
    for name, content in (
        ("a.js", "export default {}"),
        ("a", {"js": ""}),
        ("a", {"cjs": ""}),
        ("a", {"wasm": b""}),
        ("b.ts", "x"),
    ):
        modules = {"main.py": HELLO, name: content}
        await refused(lambda modules=modules: load(code(modules=modules)), "TypeError", f'"{name}" is not Python')
    both = {"main.py": HELLO, "a": {"py": "", "text": ""}}
    await refused(lambda: load(code(modules=both)), "TypeError", "Module 'a' contained 2 properties.")
    await refused(lambda: load(code(modules={"main.py": HELLO, "a.txt": "x"})), "TypeError", "Got: a.txt")
    await refused(lambda: load(code(modules={"a.txt": {"text": ""}}, mainModule="a.txt")), "TypeError", "is no Python")
    await refused(lambda: load(code(limits={"cpuMs": 0})), "TypeError", "limits.cpuMs")
    await refused(lambda: load(code(tails=["x"])), "TypeError", "tails: only service bindings")
    await refused(lambda: load(code(globalOutbound="x")), "TypeError", "globalOutbound: only service bindings")
    await refused(lambda: env.LOADER.get("x", code()), "TypeError", "callback is no function")
    await refused(lambda: load(code()).getDurableObjectClass("X"), "Error", "ctx.facets")
    broken = load(code("import nothing_of_the_kind")).getEntrypoint()
    assert 'File "main.py", line 1' in await refused(broken.add(1, 2), "Error", "does not load: Traceback")
    await refused(load(code("1 +")).getEntrypoint().add(1, 2), "Error", "SyntaxError")
    await refused(load(code()).getEntrypoint("Nope").add(1, 2), "Error", 'no entrypoint "Nope"')
    await refused(load(code()).getEntrypoint().raises(), "PythonError", "ValueError: its own")

    def fails():
        raise RuntimeError("no code today")

    try:
        await env.LOADER.get("fails", fails).getEntrypoint().add(1, 2)
    except RuntimeError as error:
        said = str(error)
    assert said == "no code today"
    assert await env.LOADER.get("fails", lambda: code()).getEntrypoint().add(1, 2) == 3  # tried again


async def names_leave_no_folder(env, ctx, request):
    for name in ("../up.py", "/etc/up.py", "a/../../up.py", "a//b.py", "a\\b.py", "C:/up.py", "./a.py", "a\x00.py", ""):
        modules = {"main.py": HELLO, name: {"py": "x = 1"}}
        await refused(
            env.LOADER.load(code(modules=modules)).getEntrypoint().add(1, 2), "TypeError", "no name of a module"
        )
    clash = {"main.py": HELLO, "a": {"text": ""}, "a/b.py": ""}
    await refused(env.LOADER.load(code(modules=clash)).getEntrypoint().add(1, 2), "TypeError", "is a folder as well")


async def it_is_shut_in(env, ctx, request):
    walls = """
import os, socket, subprocess
from pathlib import Path
from workers import WorkerEntrypoint

def tried(work):
    try:
        return f"did it: {work()!r}"
    except Exception as error:
        return type(error).__name__

class Default(WorkerEntrypoint):
    def tries(self, project, secret):
        here = Path(__file__).parent
        return {
            "read the loader's code": tried(lambda: Path(project).read_text()[:9]),
            "read a home": tried(lambda: os.listdir("/root")),
            "write beside": tried(lambda: (here / "x").write_text("x")),
            "write above": tried(lambda: (here.parent / "x").write_text("x")),
            "connect": tried(lambda: socket.create_connection(("127.0.0.1", 1), 1)),
            "run": tried(lambda: subprocess.run(["/bin/true"])),
            "environment": secret in os.environ or secret.encode() in Path("/proc/self/environ").read_bytes(),
            "import": tried(lambda: __import__("aiohttp")),
        }
"""
    found = await env.LOADER.load(code(walls)).getEntrypoint().tries(__file__, "PRIVATE_TO_ME")
    assert found.pop("environment") is False
    return json.dumps(found)


async def objects_load_too(env, ctx, request):
    assert await ctx.exports.Runner.getByName("a").run(HELLO) == 3


async def loaders_of_loaders_end(env, ctx, request):
    """What a Dynamic Worker calls may load the next one: it ends at the depth of all calls."""
    await refused(ctx.exports.Again.again(), "PythonError", "Subrequest depth limit exceeded")


class Again(WorkerEntrypoint):
    async def again(self):
        source = """
from workers import WorkerEntrypoint
class Default(WorkerEntrypoint):
    async def again(self):
        return await self.env.AGAIN.again()
"""
        given = {"AGAIN": self.ctx.exports.Again}
        return await self.env.LOADER.get("again", lambda: code(source, env=given)).getEntrypoint().again()


async def pid_of(env, ctx, request):
    name = URL(request.url).searchParams["id"]
    return await env.LOADER.get(name, lambda: code()).getEntrypoint().pid()


async def hold(env, ctx, request):
    """Busy for a while."""
    name = URL(request.url).searchParams["id"]
    await env.LOADER.get(name, lambda: code()).getEntrypoint().sleeps(2)
    return "slept"


async def passed_on(env, ctx, request):
    return await env.LOADER.get("passed", lambda: code()).getEntrypoint().fetch(Request(request))
