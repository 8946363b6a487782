"""``env.LIMIT.limit`` as a worker uses it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

ENTRY = (
    ROUTER
    + """
from pyodide.ffi import JsException
from workers import Response

async def limit(request, env):
    given = await request.json()
    binding = getattr(env, given["binding"])
    try:
        answer = await binding.limit(*given["args"], **given["options"])
        return Response.json([answer.success, list(answer)])
    except JsException as error:
        return Response.json([error.name, error.message])
"""
)
CONFIG = """
[[ratelimits]]
name = "TWO"
namespace_id = "1"
simple = { limit = 2, period = 60 }
[[ratelimits]]
name = "SAME"
namespace_id = "1"
simple = { limit = 2, period = 60 }
[[ratelimits]]
name = "OTHER"
namespace_id = "2"
simple = { limit = 2, period = 60 }
[[ratelimits]]
name = "BRIEF"
namespace_id = "3"
simple = { limit = 1, period = 10 }
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("limits")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as running:
        yield running


async def limit(pilot: Served, binding: str, *args: object, **options: object) -> list[object]:
    body = {"binding": binding, "args": args, "options": options}
    status, text = await pilot.ask("/limit", "POST", data=json.dumps(body))
    assert status == 200, text
    answer: list[object] = json.loads(text)
    return answer


async def in_one_window(period: int) -> None:
    """Not at its very end."""
    if time.time() % period > period - 5:
        await asyncio.sleep(6)


async def test_so_many_for_each_key_and_namespace(pilot: Served) -> None:
    await in_one_window(60)
    assert await limit(pilot, "TWO", key="a") == [True, ["success"]]
    assert await limit(pilot, "SAME", {"key": "a"}) == [True, ["success"]]
    assert await limit(pilot, "TWO", key="a") == [False, ["success"]]
    assert await limit(pilot, "SAME", key="a") == [False, ["success"]]
    assert await limit(pilot, "TWO", key="b") == [True, ["success"]]
    assert await limit(pilot, "TWO", key="") == [True, ["success"]]
    assert await limit(pilot, "OTHER", {}) == [True, ["success"]]
    assert await limit(pilot, "OTHER", key="a") == [True, ["success"]]


async def test_a_save_forgets_nothing_and_the_next_window_all(pilot: Served) -> None:
    await in_one_window(10)
    assert await limit(pilot, "BRIEF", key="a") == [True, ["success"]]
    assert await pilot.save(ENTRY + "\n")
    assert await limit(pilot, "BRIEF", key="a") == [False, ["success"]]
    while await limit(pilot, "BRIEF", key="a") == [False, ["success"]]:
        await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    ("args", "options", "text"),
    [((), {}, "invalid rate limit options"), (("a",), {}, "invalid rate limit options"),
     (({"key": 5},), {}, "invalid key: 5"), ((), {"key": None}, "invalid key: null"),
     ((), {"key": "a", "nokey": 1}, "bad rate limit options: [nokey]")],
)  # fmt: skip
async def test_what_is_refused(pilot: Served, args: tuple[object], options: dict[str, object], text: str) -> None:
    assert await limit(pilot, "TWO", *args, **options) == ["Error", text]
