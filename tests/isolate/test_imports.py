"""Whose module an ``import`` means: the worker's own for the worker, everybody else's for everybody else."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path

import aiohttp
import brotli
import pytest

import runtime
from hosting import hosting, worker
from runtime.isolate.script.imports import IMPORTED_LATER, OURS
from serving import ROUTER, serving, write

NAMES = ("runtime", "bindings", "token", "types", "queue", "tomllib", "yaml", "click", "msgspec", "uvloop", "js",
         "asgi", "python_multipart", "brotli", "helper")  # fmt: skip
MODULES = {f"{name}.py": f"NAME = {name!r}\n" for name in NAMES} | {
    "helper.py": "import msgspec, token\nNAME = 'helper' if msgspec.NAME + token.NAME == 'msgspectoken' else 'no'\n"
}
ENTRY = f"""
import json, tokenize, importlib.metadata
from workers import Response, Headers
import {", ".join(NAMES)}
from msgspec import NAME as same

def names():
    return Response(" ".join(module.NAME for module in ({", ".join(NAMES)})))

async def form(request):
    form = await request.form_data()
    return Response(f"{{form['field']}} {{form['file'].name}}")

async def model(env):
    answer = await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {{"prompt": "hi"}})
    return Response.json(sorted(answer))

def squeezed():
    return Response("hi " * 20, headers={{"content-encoding": "br"}})

def standard():
    return Response(str(hasattr(tokenize, "generate_tokens")))
{ROUTER}
"""
AI = '[ai]\nbinding = "AI"\n'
PACKAGES = {
    "runtime/__init__.py": "from runtime.web import V\nfrom . import web\nimport runtime.web as again\n",
    "runtime/web.py": "import bindings.plain\nV = bindings.plain.V\n",
    "bindings/plain.py": "V = 'their own'\n",
    "token/__init__.py": "from token.part import V\n", "token/part.py": "V = 'packages'\n",
}  # fmt: skip
linux = pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's")


def form() -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field("field", "value")
    data.add_field("file", b"bytes", filename="a.txt")
    return data


@pytest.mark.parametrize("how", [[], ["--inline"]], ids=["fork", "inline"])
async def test_modules_named_like_ours_and_others(tmp_path: Path, how: list[str]) -> None:
    write(tmp_path, ENTRY, AI, MODULES)
    async with serving(tmp_path, *how) as pilot:
        for _ in range(2):
            assert await pilot.ask("/names") == (200, " ".join(NAMES)), pilot.log()
            assert await pilot.ask("/form", "POST", data=form()) == (200, "value a.txt")
            assert await pilot.ask("/standard") == (200, "True")
            async with pilot.http.get(pilot.url + "/squeezed", headers={"accept-encoding": "br"}) as response:
                assert brotli.decompress(await response.read()) == b"hi " * 20
            status, text = await pilot.ask("/model")
            assert status == 200, pilot.log()
            assert "response" in json.loads(text)
            assert await pilot.save(ENTRY + "\n# again\n")


async def test_packages_named_so(tmp_path: Path) -> None:
    entry = "import runtime, token\nfrom workers import Response\n" + (
        "def fetch(): return Response(f'{runtime.V} {runtime.web.V} {runtime.again.V} {token.V}')\n"
    )
    write(tmp_path, entry, files=PACKAGES)
    async with serving(tmp_path) as pilot:
        assert await pilot.ask() == (200, "their own their own their own packages"), pilot.log()


@pytest.mark.parametrize("name", ["token", "json", "runtime", "workers", "msgspec", "queue"])
async def test_an_entry_named_so(tmp_path: Path, name: str) -> None:
    entry = "import json, tokenize, queue\nfrom workers import Response\ndef fetch(): return Response(json.dumps(7))\n"
    write(tmp_path, "", files={f"{name}.py": entry, "wrangler.toml": f'name = "test"\nmain = "{name}.py"\n'})
    async with serving(tmp_path) as pilot:
        assert await pilot.ask() == (200, "7"), pilot.log()


@pytest.mark.parametrize("file", ["workers.py", "workers/__init__.py"])
async def test_what_hides_the_sdk_is_said_by_file(tmp_path: Path, file: str) -> None:
    write(tmp_path, "from workers import Response\ndef fetch(): return Response('x')\n", files={file: ""})
    async with serving(tmp_path) as pilot:
        error = await pilot.event("script_error")
        assert (error["where"], error["remedy"]) == (file, "Give it another name.")


def test_what_an_isolate_imports_later_is_known() -> None:
    """Or a worker's module of that name would be taken for it."""
    later = set()
    for part in ("isolate", "web", "wire", "sdk"):
        for file in (Path(runtime.__path__[0]) / part).rglob("*.py"):
            for function in ast.walk(ast.parse(file.read_text())):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    later |= {name for node in ast.walk(function) for name in imported(node)}
    assert later - sys.stdlib_module_names - {*OURS, "workers", "compression"} <= set(IMPORTED_LATER)


def imported(node: ast.AST) -> list[str]:
    """The top-level names that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [(node.module or "").partition(".")[0]] if isinstance(node, ast.ImportFrom) else []


@linux
async def test_on_a_host(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data", "--isolates", "1") as host:
        await host.deploy(worker(tmp_path / "names", ENTRY, AI, "names", **MODULES))
        assert await host.get("names", "/names") == (200, " ".join(NAMES))
        assert await host.get("names", "/form", method="POST", data=form()) == (200, "value a.txt")
        assert (await host.get("names", "/model"))[0] == 200

        wanted = [
            "starlette",
            "aiohttp",
            "msgspec",
            "uvloop",
            "ada_url",
            "yaml",
            "click",
            "pip",
            "python_multipart",
            "brotli",
            "backports",
        ]
        entry = f"""
import importlib, importlib.metadata, importlib.util
from workers import Response, URL

async def fetch(request):
    if request.method == "POST":
        form = await request.form_data()
        return Response(form["field"], headers={{"content-encoding": "br"}})
    found = [name for name in {wanted} if importlib.util.find_spec(name)]
    for name in {wanted}:
        try:
            found.append(importlib.import_module(name).__name__)
        except ModuleNotFoundError:
            pass
    return Response.json([found, [each.name for each in importlib.metadata.distributions()]])
"""
        await host.deploy(worker(tmp_path / "bare", entry, name="bare"))
        for _ in range(2):
            assert await host.get("bare") == (200, "[[],[]]")
            asked = {"data": form(), "headers": {"accept-encoding": "br"}}
            async with host.http.post(f"{host.url}/_w/bare/", **asked) as response:  # what the SDK needs is there
                assert brotli.decompress(await response.read()) == b"value"

        folder = worker(tmp_path / "lacks", "import starlette\ndef fetch(): pass\n", name="lacks")
        error = await host.cli("deploy", cwd=folder, fails=True)
        assert "No module named 'starlette'" in error
        assert "pyproject.toml" in error
        entry = "import msgspec\nfrom workers import Response\ndef fetch(): return Response(msgspec.V)\n"
        files = {"python_modules/msgspec/__init__.py": "V = 'its own'\n"}
        await host.deploy(worker(tmp_path / "brings", entry, name="brings", **files))
        assert await host.get("brings") == (200, "its own")

        entry = "import importlib\nfrom workers import Response\nfrom runtime.own import V\n"
        entry += "def fetch(): return Response(V + importlib.import_module('runtime.own').V)\n"
        await host.deploy(worker(tmp_path / "has", entry, name="has", **{"runtime/own.py": "V = 'own '\n"}))
        assert await host.get("has") == (200, "own own ")
        for name in OURS:
            folder, files = tmp_path / f"hides-{name}", {f"python_modules/{name}/__init__.py": ""}
            worker(folder, "def fetch(): pass\n", name=f"hides-{name}", **files)
            error = await host.cli("deploy", cwd=folder, fails=True)
            assert f"python_modules/{name}: is a package called {name!r}" in error
            assert "put it beside the entry" in error
