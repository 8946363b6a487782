"""The table in docs/compatibility.md says of every name what becomes of it, and does not lie."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import runtime

SDK = Path(runtime.__file__).parent / "sdk"
TEXT = (Path(__file__).parents[2] / "docs/compatibility.md").read_text("utf-8")
SECTIONS = {
    match[1]: match[2] for match in re.finditer(r"^## `([\w.]+)`\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
# Public names of workers-runtime-sdk 1.9.5 and of pyodide 314.0
UPSTREAM = {
    "workers": """Blob BlobEnding BlobValue Body Context DurableObject FetchKwargs FetchResponse File FormData
        FormDataValue Headers JSBody Request RequestInitCfProperties Response WorkerEntrypoint WorkflowEntrypoint env
        fetch handler import_from_javascript patch_env python_from_rpc python_to_rpc waitUntil wait_until""",
    "asgi": "Options entrypoint env fetch websocket",
    "wsgi": "Options entrypoint fetch",
    "workers.gateway": "BaseOptions EncodeBody",
    "workers.workflows": "NonRetryableError",
    "pyodide.ffi": """ConversionError IN_PYODIDE JsArray JsAsyncGenerator JsAsyncIterable JsAsyncIterator JsBigInt
        JsBuffer JsCallable JsCallableDoubleProxy JsDomElement JsDoubleProxy JsException JsFetchResponse JsGenerator
        JsIterable JsIterator JsMap JsMutableMap JsNull JsOnceCallable JsPromise JsProxy JsTypedArray JsWeakRef
        ToJsConverter create_once_callable create_proxy destroy_proxies jsnull register_js_module run_sync to_js
        unregister_js_module""",
    "pyodide.ffi.wrappers": """add_event_listener clear_interval clear_timeout remove_event_listener set_interval
        set_timeout""",
    "pyodide.http": "AbortError BodyUsedError FetchResponse HttpStatusError open_url pyfetch pyxhr",
    "pyodide.code": """CodeRunner eval_code eval_code_async find_imports relaxed_call relaxed_wrap run_js
        should_quiet""",
    "pyodide.console": "BANNER Console ConsoleFuture PyodideConsole repr_shorten",
    "pyodide.webloop": "PyodideFuture PyodideTask WebLoop WebLoopPolicy",
}


def rows(module: str) -> dict[str, list[str]]:
    """Status → names."""
    found = re.findall(r"^\| ([a-z ]+) \| (.*) \|$", SECTIONS[module], re.MULTILINE)
    return {status: re.findall(r"`(\w+)`", names) for status, names in found}


@pytest.fixture(autouse=True)
def source_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in an isolate; what other tests have imported is set aside, and comes back."""
    monkeypatch.syspath_prepend(str(SDK))
    before = _taken()
    yield
    _taken()
    sys.modules |= before


def _taken() -> dict[str, ModuleType]:
    """The SDK's modules, no longer in ``sys.modules``."""
    names = [name for name in sys.modules if name.split(".")[0] in ("workers", "js", "pyodide", "asgi", "wsgi")]
    return {name: sys.modules.pop(name) for name in names}


@pytest.mark.parametrize("module", sorted(SECTIONS))
def test_each_name_is_there_or_refused(module: str) -> None:
    found = importlib.import_module(module)
    for status, names in rows(module).items():
        assert names, (module, status)
        there = {name: hasattr(found, name) for name in names}
        assert there == dict.fromkeys(names, status != "refused")


@pytest.mark.parametrize("module", sorted(UPSTREAM))
def test_no_name_of_upstream_is_left_out(module: str) -> None:
    told = {name for names in rows(module).values() for name in names}
    assert set(UPSTREAM[module].split()) - told == set()


def test_the_modules_of_the_sdks_package() -> None:
    found = importlib.import_module("workers")
    for part in ("blob", "entrypoints", "fetch", "formdata", "request", "response", "rpc", "utils"):
        assert importlib.import_module(f"workers.{part}") is found
    assert found.JsDict({"a": 1}).a == 1
    assert found.Context in found.DurableObjectContext.__mro__
    assert importlib.import_module("workers.gateway.options").BaseOptions().encode_body == "automatic"


def test_every_global_that_is_here_is_told_of() -> None:
    js, later = importlib.import_module("js"), importlib.import_module("js._later")
    told = {name for names in rows("js").values() for name in names}
    assert {*js.__all__, *later.NAMES} - told == set()
    assert (
        set(importlib.import_module("workers").__all__) - {n for names in rows("workers").values() for n in names}
        == set()
    )


async def test_a_console() -> None:
    console = importlib.import_module("pyodide.console")
    printed: list[str] = []
    terminal = console.Console(stdout_callback=printed.append)
    assert terminal.push("def double(x):").syntax_check == "incomplete"
    assert terminal.push("    return 2 * x").syntax_check == "incomplete"
    await terminal.push("")
    assert await terminal.push("import asyncio; await asyncio.sleep(0, double(21))") == 42
    await terminal.push("print('said')")
    assert "".join(printed) == "said\n"
    wrong = terminal.push("1 +")
    assert (wrong.syntax_check, "SyntaxError" in (wrong.formatted_error or "")) == ("syntax-error", True)
    wrong.exception()
    failed = terminal.push("1 / 0")
    with pytest.raises(ZeroDivisionError):
        await failed
    assert "ZeroDivisionError" in failed.formatted_error
    assert terminal.complete("x = doub") == (["double("], 4)
    assert console.repr_shorten("x" * 50, limit=8) == "'xxx...xxx'"


async def test_promises_methods_and_relaxed_calls() -> None:
    webloop, code = importlib.import_module("pyodide.webloop"), importlib.import_module("pyodide.code")
    future, seen = webloop.PyodideFuture(), list[str]()
    chained = future.then(lambda value: value + 1).finally_(lambda: seen.append("over"))
    future.set_result(1)
    assert (await chained, seen) == (2, ["over"])
    failing = webloop.PyodideFuture()
    caught = failing.catch(lambda error: str(error))
    failing.set_exception(ValueError("no"))
    assert await caught == "no"
    assert code.relaxed_call(lambda a, *, b=0: a + b, 1, 2, 3, b=4, c=5) == 5
    assert code.relaxed_wrap(len)("ab", "more") == 2
    runner = code.CodeRunner("x = 20\nx + 1").compile()
    assert (
        runner.run({}),
        await code.CodeRunner("await f()").compile().run_async({"f": lambda: asyncio.sleep(0, 3)}),
    ) == (21, 3)
