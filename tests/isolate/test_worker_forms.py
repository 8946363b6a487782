"""What a worker may look like: its entry, the modules and files beside it, the packages it imports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = """
from workers import Response

async def fetch(request, env, ctx):
    return Response(f"{request.method} {env.NAME} {type(ctx).__name__}")
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("forms")
    write(folder, HELLO, '[vars]\nNAME = "pilot"\n')
    async with serving(folder) as served:
        yield served


FORMS = {
    "three parameters": (HELLO, "GET pilot Context"),
    "two": ("from workers import Response\nasync def fetch(request, env): return Response(env.NAME)", "pilot"),
    "one": ("from workers import Response\nasync def fetch(request): return Response(request.method)", "GET"),
    "none": ("from workers import Response\nasync def fetch(): return Response('none')", "none"),
    "any number": ("from workers import Response\nasync def fetch(*event): return Response(str(len(event)))", "3"),
    "one, then any number": (
        "from workers import Response\nasync def fetch(request, *more): return Response(str(len(more)))",
        "2",
    ),
    "a default of its own": (
        "from workers import Response\nasync def fetch(request, env, ctx, tries=3): return Response(str(tries))",
        "3",
    ),
    "a plain function": ("from workers import Response\ndef fetch(request, env): return Response(env.NAME)", "pilot"),
    "a plain function that returns a coroutine": (
        "from workers import Response\n"
        "async def later(env): return Response(env.NAME)\n"
        "def fetch(request, env): return later(env)",
        "pilot",
    ),
    "an async generator": (
        "async def fetch(request, env):\n    yield 'data: '\n    yield env.NAME.encode()",
        "data: pilot",
    ),
    "on_fetch": (
        "from workers import Response, handler\n"
        "@handler\nasync def on_fetch(request, env, ctx): return Response(env.NAME)",
        "pilot",
    ),
    "a class": (
        "from workers import Response, WorkerEntrypoint\n"
        "class Default(WorkerEntrypoint):\n"
        "    async def fetch(self, request):\n"
        "        return Response(self.env.NAME + type(self.ctx).__name__)",
        "pilotContext",
    ),
    "a class with all three": (
        "from workers import Response, WorkerEntrypoint\n"
        "class Default(WorkerEntrypoint):\n"
        "    async def fetch(self, request, env, ctx):\n"
        "        return Response(env.NAME + type(ctx).__name__)",
        "pilotContext",
    ),
    "a class with any number": (
        "from workers import Response, WorkerEntrypoint\n"
        "class Default(WorkerEntrypoint):\n"
        "    async def fetch(self, *event): return Response(str(len(event)))",
        "3",
    ),
    "a class with a constructor": (
        "from workers import Response, WorkerEntrypoint\n"
        "class Default(WorkerEntrypoint):\n"
        "    def __init__(self, ctx, env):\n"
        "        super().__init__(ctx, env)\n"
        "        self.name = env.NAME\n"
        "    def fetch(self, request): return Response(self.name)",
        "pilot",
    ),
    "a class with a static method": (
        "from workers import Response, WorkerEntrypoint\n"
        "class Default(WorkerEntrypoint):\n"
        "    @staticmethod\n"
        "    async def fetch(request, env): return Response(env.NAME)",
        "pilot",
    ),
    "a class with an async generator": (
        "from workers import WorkerEntrypoint\n"
        "class Default(WorkerEntrypoint):\n"
        "    async def fetch(self, request):\n"
        "        yield self.env.NAME",
        "pilot",
    ),
    "a decorated function": (
        "import functools\nfrom workers import Response\n"
        "def shout(f):\n"
        "    @functools.wraps(f)\n"
        "    async def wrapper(*args):\n"
        "        return Response((await (await f(*args)).text()).upper())\n"
        "    return wrapper\n"
        "@shout\nasync def fetch(request, env): return Response(env.NAME)",
        "PILOT",
    ),
    "a callable": (
        "from workers import Response\n"
        "class App:\n"
        "    async def __call__(self, request, env): return Response(env.NAME)\n"
        "fetch = App()",
        "pilot",
    ),
    "the outbound fetch beside on_fetch": (
        "from workers import Response, fetch\nasync def on_fetch(request): return Response('mine')",
        "mine",
    ),
    "the outbound fetch beside a class": (
        "from workers import *\n"
        "class Default(WorkerEntrypoint):\n"
        "    async def fetch(self, request): return Response('mine')",
        "mine",
    ),
}


@pytest.mark.parametrize("form", FORMS)
async def test_forms(pilot: Served, form: str) -> None:
    entry, answer = FORMS[form]
    assert await pilot.save(entry), pilot.log()
    assert await pilot.ask() == (200, answer)


WITHOUT_FETCH = {
    "a handler of another event": "async def scheduled(controller, env, ctx): ...",
    "its other name": "def on_queue(batch): ...",
    "a method": "from workers import WorkerEntrypoint\nclass Default(WorkerEntrypoint):\n    def add(self, a, b): ...",
    "another class": "from workers import WorkerEntrypoint\nclass Admin(WorkerEntrypoint): ...",
}


@pytest.mark.parametrize("form", WITHOUT_FETCH)
async def test_a_script_without_fetch_is_loaded_and_says_so_when_asked(pilot: Served, form: str) -> None:
    assert await pilot.save(WITHOUT_FETCH[form]), pilot.log()
    status, text = await pilot.ask()
    assert (status, "it exports no fetch()" in text) == (500, True), text


WRONG = {
    "nothing": ("x = 1", "no entry", "async def fetch(request, env, ctx):"),
    "only the outbound fetch": ("from workers import fetch", "no entry", "async def fetch"),
    "a class without fetch": (
        "from workers import WorkerEntrypoint\nclass Default(WorkerEntrypoint): pass",
        "Default has no fetch", "async def fetch(self, request)",
    ),
    "two functions": (
        "async def fetch(request): ...\nasync def fetch(request, env): ...", "fetch 2 times", "Keep one",
    ),
    "a function and a class": (
        "from workers import WorkerEntrypoint\n"
        "class Default(WorkerEntrypoint):\n    async def fetch(self, request): ...\n"
        "async def on_fetch(request): ...",
        "Default and on_fetch", "Keep one",
    ),
    "two classes": ("class Default: ...\nclass Default:\n  def fetch(self): ...", "Default 2 times", "Keep one"),
    "too many parameters": ("async def fetch(a, b, c, d): ...", "4 parameters", "request, env, ctx"),
    "a syntax error": ("async def fetch(request:\n", "'(' was never closed", "entry.py, line 1"),
    "a failing import": ("import no_such_package", "No module named 'no_such_package'", "entry.py, line 1"),
    "a name that js has not": ("from js import document", "cannot import name 'document'", "there is no JavaScript"),
    "an exit": ("import sys\nsys.exit(3)", "SystemExit(3)", "entry.py"),
    "bytes that are no text": ("# caf\udce9\n\n\n# \udce9\n", "encoding", "entry.py"),
    "an interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt", "entry.py"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
async def test_mistakes_are_told_and_the_old_code_answers(pilot: Served, mistake: str) -> None:
    assert await pilot.save(HELLO)
    since = len(pilot.events)
    entry, what, remedy = WRONG[mistake]
    (pilot.folder / "entry.py").write_bytes(entry.encode("utf-8", "surrogateescape"))
    error = await pilot.event("script_error", since=since)
    assert what in error["what"], error
    assert remedy in error["remedy"] + error["where"], error
    assert (await pilot.ask())[1] == "GET pilot Context"
    status, page = await pilot.ask(headers={"accept": "text/html"})
    assert (status, "<!doctype html>" in page) == (500, True)


async def test_plain_functions_run_in_threads(pilot: Served) -> None:
    """One that sleeps holds up no other request, however many sleep."""
    assert await pilot.save(
        "import time\nfrom workers import Response\n"
        "def fetch(request):\n"
        "    if request.url.endswith('slow'): time.sleep(1)\n"
        "    return Response('done')"
    )
    slow = [asyncio.create_task(pilot.ask("/slow")) for _ in range(20)]
    await asyncio.sleep(0.1)
    assert await pilot.ask("/quick") == (200, "done")
    assert not any(task.done() for task in slow)
    assert {task.result() for task in (await asyncio.wait(slow))[0]} == {(200, "done")}


async def test_stop_iteration_in_a_plain_function_is_an_error_not_silence(pilot: Served) -> None:
    assert await pilot.save("def fetch(request): return next(iter(()))")
    status, text = await pilot.ask()
    assert (status, "StopIteration" in text) == (500, True)


MODULES = {
    "helper.py": "VALUE = 'sibling'\nimport entry_state\n",
    "entry_state.py": "COUNT = [0]\n",
    "pkg/__init__.py": "from pkg.inner import NAME\n",
    "pkg/inner.py": "from . import sub\nNAME = 'package'\n",
    "pkg/sub.py": "",
    "pkg/words.txt": "resource",
    "space/part.py": "NAME = 'namespace'\n",
    "data/words.txt": "data file",
    "runtime.py": "NAME = 'own runtime'\n",
    "bindings/__init__.py": "NAME = 'own bindings'\n",
    "config.py": "NAME = 'own config'\n",
    "errors.py": "NAME = 'own errors'\n",
    "web.py": "NAME = 'own web'\n",
    "loader.py": "NAME = 'own loader'\n",
    "utils/__init__.py": "NAME = 'own utils'\n",
    "python_modules/vendored/__init__.py": "NAME = 'vendored'\n",
}
IMPORTS = """
import dataclasses
import importlib.resources
import pickle
from pathlib import Path
import bindings, config, errors, helper, loader, runtime, space.part, utils, vendored, web
from pkg import NAME
from js import JSON, Response as JsResponse
from pyodide.ffi import to_js
from workers import Response, FormData

COUNT = 0

@dataclasses.dataclass
class Point:
    x: int

async def fetch(request, env):
    global COUNT
    COUNT += 1
    form = await request.form_data() if request.method == "POST" else {}
    return Response.json({
        "modules": [helper.VALUE, NAME, space.part.NAME, runtime.NAME, bindings.NAME, config.NAME, errors.NAME,
                    loader.NAME, utils.NAME, web.NAME, vendored.NAME],
        "file": (Path(__file__).parent / "data" / "words.txt").read_text(),
        "resource": importlib.resources.files("pkg").joinpath("words.txt").read_text(),
        "count": COUNT, "name": __name__, "env": env.NAME, "form": form.get("a"),
        "pickle": pickle.loads(pickle.dumps(Point(1))).x,
        "js": isinstance(JsResponse.new("x"), Response),
    })
"""


async def test_modules_packages_and_files(tmp_path: Path) -> None:
    write(tmp_path, IMPORTS, '[ai]\nbinding = "AI"\n[vars]\nNAME = "pilot"\n', MODULES)
    async with serving(tmp_path) as pilot:
        async with pilot.http.post(pilot.url, data={"a": "b"}) as response:
            assert response.status == 200, await response.text()
            found = await response.json()
        assert found["modules"] == [
            "sibling", "package", "namespace", "own runtime", "own bindings", "own config", "own errors",
            "own loader", "own utils", "own web", "vendored",
        ]  # fmt: skip
        assert (found["file"], found["resource"]) == ("data file", "resource")
        assert (found["env"], found["form"], found["pickle"], found["js"]) == ("pilot", "b", 1, True)
        assert (found["count"], found["name"]) == (1, "entry")
        async with pilot.http.get(pilot.url) as response:
            assert (await response.json())["count"] == 2
    own = [path for path in tmp_path.rglob("*.pyc") if "python_modules" not in path.parts]
    assert own == [], "nothing is written beside the worker's files"


@pytest.mark.parametrize("name", ["workers.py", "json.py", "src/main.py"])
async def test_the_entry_may_be_called_anything(tmp_path: Path, name: str) -> None:
    entry = "import json\nfrom workers import Response\nasync def fetch(): return Response(json.dumps([1]))"
    write(tmp_path, "", files={name: entry})
    (tmp_path / "wrangler.toml").write_text(f'name = "test"\nmain = "{name}"\n')
    async with serving(tmp_path) as pilot:
        assert await pilot.ask() == (200, "[1]")


async def test_a_package_may_keep_the_streams_it_found(tmp_path: Path) -> None:
    """Imported before the fork or after it, what it logs and prints reaches the log."""
    package = (
        "import logging, sys\nOUT = sys.stdout\nprint('imported')\n"
        "LOGGER = logging.getLogger('speaks')\nLOGGER.addHandler(logging.StreamHandler())\n"
    )
    entry = (
        "import speaks\nfrom workers import Response\n"
        "def fetch(): speaks.LOGGER.warning('logged VERSION'); print('said VERSION', file=speaks.OUT); "
        "return Response('x')"
    )
    write(tmp_path, entry, files={"python_modules/speaks/__init__.py": package})
    async with serving(tmp_path) as pilot:
        for version in ("one", "two"):
            assert await pilot.save(entry.replace("VERSION", version)), pilot.log()
            assert await pilot.ask() == (200, "x")
            await pilot.event("output", text=f"logged {version}", stream="stderr", within=20)
            await pilot.event("output", text=f"said {version}", stream="stdout", within=20)
            await asyncio.sleep(0.1)  # for the zygote's import


async def test_third_party_packages(tmp_path: Path) -> None:
    """One that starts threads when it is imported included; requests in flight never notice."""
    entry = (
        "import asyncio\nimport numpy, rich\nfrom workers import Response\n"
        "async def fetch(request):\n"
        "    await asyncio.sleep(0.2)\n"
        "    return Response(f'{numpy.arange(4).sum()} VERSION')"
    )
    write(tmp_path, entry)
    async with serving(tmp_path) as pilot:
        assert await pilot.ask() == (200, "6 VERSION")
        for version in ("one", "two"):
            assert await pilot.save(entry.replace("VERSION", version)), pilot.log()
            asks = [pilot.ask() for _ in range(5)]
            assert set(await asyncio.gather(*asks)) == {(200, f"6 {version}")}
